"""Run all benchmarks: `python -m benchmarks`, or some: `python -m benchmarks ridge`."""

import sys
from importlib import import_module

ALL = ("ridge", "features", "datasets", "selector")

for name in sys.argv[1:] or ALL:
    import_module(f"benchmarks.{name}").main()
