"""`python -m tonearm`: see :mod:`tonearm._cli`."""

import sys

from ._cli import main

sys.exit(main())
