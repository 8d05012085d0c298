"""`python -m vqv2` is the command `vqv2`."""

import sys

from vqv2.cli.main import main

sys.exit(main())
