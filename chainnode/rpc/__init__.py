"""What a node offers over HTTP and WebSocket: the server, and the typed client that everything outside uses."""
