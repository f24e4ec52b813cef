"""The command ``roottip``, which ``python -m roottip`` is too."""

from __future__ import annotations

import os
import sys

from roottip import app

UNREAD = 141
"""Exit code where nobody reads on what is said, as in ``| head -1``: the shell's for SIGPIPE."""


def main() -> int:
    """As `app.main`, and quiet where whoever read what it says has closed the pipe."""
    try:
        code = app.main()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        return code
    except BrokenPipeError:
        # what still waits to be written goes nowhere, or Python would complain as it ends
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            os.dup2(nowhere, stream.fileno())
        return UNREAD


if __name__ == "__main__":
    sys.exit(main())
