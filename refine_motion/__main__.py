"""``python -m refine_motion``: the same as the command ``refine-motion``."""

import sys

from refine_motion.cli.main import main

sys.exit(main())
