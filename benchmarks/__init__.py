"""Benchmarks: fusiform beside its peers, in one run on one machine. Timings decide no test."""
