"""Writing to stdout, whoever listens."""

from __future__ import annotations

import os
import sys


def write_stdout(text: str) -> None:
    """Write a text at once; a reader that has gone away (``| head -1``) is no fault.

    Raises
    ------
    OSError
        The text cannot be written for another reason, such as a full disk.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Else the interpreter would try once more when it exits, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
