"""What a node keeps on disk: a key-value store, a vote log, and the lock on the home of both."""
