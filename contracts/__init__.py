"""The contract API, its runtime and the built-in contracts."""
