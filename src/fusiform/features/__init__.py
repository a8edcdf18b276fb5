"""Features describe stimuli: backbones, the store, and extraction. Importing this imports no torch."""
