"""``campaign.json``: what a folder of results is the answer to."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slir_milp.errors import SlirError
from slir_milp.report.document import Json, write_json

CAMPAIGN = "campaign.json"
FORMAT = 1
"""Raised by one whenever a field changes its meaning or goes away."""


@dataclass(frozen=True)
class Limits:
    """What every instance may use.

    Attributes
    ----------
    seconds
        Most seconds for one instance (its own limit may be less); ``None`` for its own alone.
    memory_mb
        Most resident memory of its processes together, in 10⁶ bytes; ``None`` for no limit.
    jobs
        Threads.
    parallel
        How many instances run at a time; ``None`` for as many as a cluster has room for.
    """

    seconds: float | None
    memory_mb: float | None
    jobs: int
    parallel: int | None = 1

    def __str__(self) -> str:
        seconds = "the instances' own seconds" if self.seconds is None else f"{self.seconds:g} s"
        memory = "no limit of memory" if self.memory_mb is None else f"{self.memory_mb:g} MB"
        places = "a cluster" if self.parallel is None else f"{self.parallel} at a time"
        return f"{seconds}, {memory}, {self.jobs} thread{'s'[: self.jobs != 1]}, {places}"


@dataclass(frozen=True)
class ToolEntry:
    """A verifier: its name, its version and its command with ``{network}``, ``{query}`` and the like left open."""

    name: str
    version: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class SetEntry:
    """A benchmark set: its name, its folder and how many instances it lists."""

    name: str
    folder: str
    instances: int


@dataclass(frozen=True)
class Campaign:
    """A campaign as it was asked for.

    Attributes
    ----------
    started
        When it began: ISO 8601 in UTC.
    versions
        Of this program and of Python.
    machine
        ``cores``, ``memory_bytes``, ``processor`` and ``system``, each ``None`` or ``""`` if it is not known.
    limits
        The same for all instances and tools.
    tools, sets
        What was run on what, in the order in which they were first asked for.
    """

    started: str
    versions: dict[str, str]
    machine: dict[str, Any]
    limits: Limits
    tools: tuple[ToolEntry, ...]
    sets: tuple[SetEntry, ...]

    def joined(self, later: Campaign, folder: Path) -> Campaign:
        """The campaign with the tools and sets of a later command on the same folder.

        Raises
        ------
        SlirError
            The two do not go together: other limits, or other tools or sets under the same names.
        """
        if later.limits != self.limits:
            raise SlirError(
                f"{folder} was measured with {self.limits}, and now it is {later.limits}; "
                "give the same limits, or name another folder."
            )
        sets, tools = {s.name: s for s in self.sets}, {t.name: t for t in self.tools}
        for new in later.sets:
            old = sets.setdefault(new.name, new)
            if os.path.realpath(old.folder) != os.path.realpath(new.folder):
                raise SlirError(
                    f"{folder} has results of another set of the name {new.name}, from {old.folder}; "
                    "name another folder of results."
                )
            sets[new.name] = new
        for tool in later.tools:
            known = tools.setdefault(tool.name, tool)
            if known != tool:
                what = "version" if known.version != tool.version else "command"
                was, now = (known.version, tool.version) if what == "version" else (known.command, tool.command)
                shown = [part if isinstance(part, str) else " ".join(part) for part in (was, now)]
                raise SlirError(
                    f"{folder} has results of {tool.name} with the {what} '{shown[0]}', and now it is '{shown[1]}'; "
                    "name another folder, or give the tool another name."
                )
        return Campaign(
            self.started, self.versions, self.machine, self.limits, tuple(tools.values()), tuple(sets.values())
        )

    def write(self, folder: Path) -> None:
        """Write it into a folder of results, as a whole or not at all.

        Raises
        ------
        SlirError
            It cannot be written.
        """
        content: Json = {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}
        write_json(folder / CAMPAIGN, content)


def read_campaign(folder: Path) -> Campaign | None:
    """The campaign of a folder of results; ``None`` if there is none yet.

    Raises
    ------
    SlirError
        The file is no description of a campaign of this version.
    """
    path = folder / CAMPAIGN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise SlirError(f"{path} is of format {content['format']}; this version reads format {FORMAT}.")
        return Campaign(
            started=str(content["started"]),
            versions=dict(content["versions"]),
            machine=dict(content["machine"]),
            limits=Limits(**content["limits"]),
            tools=tuple(ToolEntry(t["name"], t["version"], tuple(t["command"])) for t in content["tools"]),
            sets=tuple(SetEntry(**s) for s in content["sets"]),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SlirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SlirError(f"{path} is no description of a campaign; name another folder.") from error


def this_machine() -> dict[str, Json]:
    """What is known of the machine that this process runs on."""
    memory = None
    if hasattr(os, "sysconf"):
        try:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):  # the system does not tell
            memory = None
    return {
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "processor": _processor(),
        "system": platform.platform(terse=True),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()
