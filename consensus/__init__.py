"""Pure PBFT: values in, values out; no socket, clock, key, logger or coroutine."""
