"""`python -m fusiform` is the same as `fusiform`."""

import sys

from fusiform.cli import main

sys.exit(main())
