"""The command ``roottip``, which ``python -m roottip`` is too."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from roottip import app

UNREAD = 141
"""Exit code where nobody reads on what is said, as in ``| head -1``: the shell's for SIGPIPE."""


def main() -> int:
    """As `app.main`, and quiet where whoever read what it says has closed the pipe."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    try:
        code = app.main()
        for stream in streams:
            stream.flush()
        return code
    except OSError as error:  # of a command's own only a broken pipe comes as far as here
        unread = isinstance(error, BrokenPipeError) and any(map(_unread, streams))
        if not unread and sys.stderr is not None:
            with suppress(OSError):  # it may lie on the same full disk
                print(f"roottip: {error.strerror or error}", file=sys.stderr, flush=True)
        # what still waits to be written goes nowhere, or Python would complain as it ends
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in streams:
            os.dup2(nowhere, stream.fileno())
        return UNREAD if unread else app.BAD_INPUT


def _unread(stream: TextIO) -> bool:
    """Whether it is a pipe that nobody reads; Windows does not say, there it is taken for one."""
    if not hasattr(select, "poll"):
        return True
    asked = select.poll()
    asked.register(stream.fileno(), 0)  # of errors alone it tells unasked
    return bool(asked.poll(0))


if __name__ == "__main__":
    sys.exit(main())
