"""``slir-milp report``: a folder of results as one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import make_way
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError
from slir_milp.report.text import plural

if TYPE_CHECKING:
    from slir_milp.report.page.source import Results

_PICTURES = "pictures"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``slir-milp report`` is asked.

    Attributes
    ----------
    folder
        A folder of results.
    out
        The page.
    title
        Its heading; made of the folder's name if it is empty.
    pictures
        Pictures as JSON, besides those in the folder.
    """

    folder: Path
    out: Path
    title: str = ""
    pictures: tuple[Path, ...] = ()


def run(request: Request) -> ExitCode:
    """Write the page, and say in a line what is in it.

    Raises
    ------
    SlirError
        The folder or a picture is at fault, the page cannot be written, or Jinja2 is not installed.
    """
    from slir_milp.report.files import write_whole
    from slir_milp.report.page.source import read_folder

    results = read_folder(request.folder)
    listed = sorted((request.folder / _PICTURES).glob("*.json"))
    make_way(f"--out {request.out}", request.out, (*_kept(results), *listed, *request.pictures))
    from slir_milp.report.drawing.files import read_picture

    pictures = tuple(map(read_picture, (*listed, *request.pictures)))
    title = request.title or f"Results of {request.folder.resolve().name}"
    try:
        from slir_milp.report.page.render import Figure, render

        figures = [Figure(picture.title, picture.about, picture.svg()) for picture in pictures]
        page = render(results, title=title, pictures=figures, beside=request.out.absolute().parent)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("jinja2", "markupsafe"):
            raise
        raise OptionError(
            f"{request.out} was not written: a report needs Jinja2; 'pip install slir-milp[report]' or "
            "'pip install jinja2' brings it."
        ) from error
    write_whole(request.out, page.encode("utf-8", errors="replace"))
    wrong = sum(row.outcome == "wrong" for row in results.rows)
    write_stdout(f"{request.out}: {plural(len(results.rows), 'row')}, {wrong} wrong\n")
    return ExitCode.DECIDED


def _kept(results: Results) -> Iterator[Path]:
    """The files that the campaign has written, and goes on from."""
    from slir_milp.report.campaign import CAMPAIGN
    from slir_milp.report.page.data import witness_file
    from slir_milp.report.results import RESULTS

    names = [CAMPAIGN, RESULTS]
    for row in results.rows:
        names += [name for name in (row.document, witness_file(results.folder, row)) if name]
    return (results.folder / name for name in names)
