"""What a node offers over RPC, without any RPC in it."""
