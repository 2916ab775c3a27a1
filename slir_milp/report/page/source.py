"""A folder of results as the report reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from slir_milp.errors import OptionError
from slir_milp.report.campaign import CAMPAIGN, Campaign, read_campaign
from slir_milp.report.results import RESULTS, Row, read_results


@dataclass(frozen=True)
class Results:
    """What was asked, and what has been answered so far.

    Attributes
    ----------
    folder
        Where both lie.
    campaign
        What was asked of which tools.
    rows
        A row for every instance and tool that has ended, in the order in which they did.
    """

    folder: Path
    campaign: Campaign
    rows: tuple[Row, ...] = ()


def read_folder(folder: Path) -> Results:
    """Read a folder of results; the campaign may still go on.

    Raises
    ------
    SlirError
        The folder has no campaign, or a file in it is at fault.
    """
    if not folder.is_dir():
        raise OptionError(f"there is no folder {folder}; name the folder of results that bench has written.")
    campaign = read_campaign(folder)
    if campaign is None:
        raise OptionError(f"{folder} has no {CAMPAIGN}; name the folder of results that bench has written.")
    rows = read_results(folder / RESULTS)
    for row in rows:
        if not all(map(math.isfinite, (row.seconds, row.timeout or 0.0, row.peak_mb or 0.0, row.closed_fraction))):
            raise OptionError(
                f"{folder / RESULTS} has a number that is not finite, in the row of {row.onnx} {row.vnnlib}."
            )
    return Results(folder, campaign, rows)
