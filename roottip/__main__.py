"""``python -m roottip`` is ``roottip``."""

import sys

from roottip.app import main

if __name__ == "__main__":
    sys.exit(main())
