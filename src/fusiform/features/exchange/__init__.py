"""Features to and from the files of others: plain npy, a file per episode, the movie system's tree."""
