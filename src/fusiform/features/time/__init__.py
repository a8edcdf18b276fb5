"""How what unfolds in time becomes rows: streams, windows, words, and one way to sample them."""
