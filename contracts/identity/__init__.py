"""The built-in contract `identity`: organisations, accounts, keys and roles."""
