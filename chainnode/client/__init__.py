"""What programs that use a chain are built from: the client library and what lies under it (docs/integrators.md)."""
