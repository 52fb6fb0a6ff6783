"""The `chainnode` command line."""
