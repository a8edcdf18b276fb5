"""What stands for an array on disk."""


class OnDisk:
    """An array that is read in blocks, and counts the numbers that were read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.ndim = values, values.shape, values.dtype, values.ndim
        self.chunks, self.read, self.times = (1, *values.shape[1:]), 0, 0

    def __getitem__(self, key):
        part = self.values[key]
        self.read, self.times = self.read + part.size, self.times + 1
        return part

    def passes(self):
        """How often all of it was read since the last call."""
        found, self.read = self.read / self.values.size, 0
        return found
