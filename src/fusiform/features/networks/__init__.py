"""Published networks: loaded by name or from a folder, every layer in one pass."""
