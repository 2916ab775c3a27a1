"""Writing to stdout, whoever listens."""

from __future__ import annotations

import os
import sys

from slir_milp.errors import SlirError


def write_stdout(text: str) -> None:
    """Write a text at once; a reader that has gone away (``| head -1``) is no fault.

    Raises
    ------
    SlirError
        The text cannot be written for another reason, such as a full disk.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Else the interpreter would try once more when it exits, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise SlirError(f"the answer cannot be written to stdout: {error.strerror or error}.") from error
