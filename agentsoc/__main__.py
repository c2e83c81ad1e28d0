"""``python -m agentsoc``: the same as the command ``agentsoc``."""

import sys

from agentsoc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
