"""Pure torch modules: they know nothing of brains or files."""
