"""Pictures in files: written as SVG or as their data, read again for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

from slir_milp.errors import OptionError
from slir_milp.report.drawing.decision_map import MapPicture
from slir_milp.report.drawing.proof_tree import TreePicture
from slir_milp.report.drawing.values import Values
from slir_milp.report.files import write_whole

Picture: TypeAlias = MapPicture | TreePicture

ENDINGS = (".svg", ".json")
"""Endings of the files that can be written."""

FORMAT = 1
_KINDS: dict[str, type[MapPicture] | type[TreePicture]] = {"decision map": MapPicture, "proof tree": TreePicture}


def check_ending(path: Path) -> None:
    """See that a picture can be written under a name, before it is made.

    Raises
    ------
    OptionError
        The name ends in something else.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"--out {path}: name a file that ends in .svg (the picture) or .json (its data, for report).")


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture as SVG, or its data as JSON, by the file's ending.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    if path.suffix.lower() == ".svg":
        content = f'<?xml version="1.0" encoding="UTF-8"?>\n{picture.svg()}\n'
    else:
        content = json.dumps(picture.to_json(), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
    write_whole(path, content.encode("utf-8", errors="replace"))


def read_picture(path: Path) -> Picture:
    """Read a picture's data.

    Raises
    ------
    OptionError
        The file cannot be read, or is no such data.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"the picture {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path} is no JSON file in UTF-8: {error}.") from error
    kind = content.get("picture") if isinstance(content, dict) else None
    if kind not in _KINDS:
        raise OptionError(f"{path} is no picture of ours; 'slir-milp map' and 'slir-milp tree' write such files.")
    if content.get("format") != FORMAT:
        raise OptionError(f"{path} is a picture of format {content.get('format')}; this version reads {FORMAT}.")
    return _KINDS[kind].from_json(Values(content, str(path)))
