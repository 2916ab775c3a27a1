"""Writing a file as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from slir_milp.errors import OptionError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for half of it; a link stays a link.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device: there is nothing to replace
            path.write_bytes(content)
            return
        path = Path(os.path.realpath(path))
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
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
