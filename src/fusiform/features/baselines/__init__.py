"""What is said of stimuli without a network: pixels, filters, words, and signals that a recording brings along."""
