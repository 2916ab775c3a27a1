"""Writing a file as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from slir_milp.errors import OptionError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for half of it; a link stays a link.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when all of it has been written; nothing is left behind by an error.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device: there is nothing to replace
            with open(path, "wb") as file:
                yield file
            return
        path = Path(os.path.realpath(path))
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            # mkstemp lets only the owner read; a result is as public as the umask says.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OptionError(f"the result cannot be written to {path}: {error.strerror or error}.") from error
