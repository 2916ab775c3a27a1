"""Watches one command and all that it starts from outside: a program of its own, with the standard library only.

It gives the command a session, looks at its process tree ten times a second, and ends all of the tree when the command
has ended, when its time is over, when the tree holds too much memory, or when whoever started the guard says so or has
died.  That it outlives its caller is the point: nobody else would end what the command of a killed caller has started.

    guard SPECIFICATION        (a JSON object, see :class:`slir_milp.bench.process.Limited`)

A line on stdin asks for an orderly end, the end of stdin (the caller is dead) for one at once.  On stdout comes one
JSON object: ``ended`` (itself, time, memory, told, never), ``code``, ``seconds``, ``peak_bytes`` and ``sentence``.

On Linux the tree is that of all descendants, those whose parents have ended included; elsewhere it is what ``ps`` says.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

_POLL = 0.1
_LAST_TRY = 5.0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ON_LINUX = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE")

Process = tuple[int, int, int]
"""Parent, session and bytes of resident memory."""


def processes() -> dict[int, Process]:
    """Every process of the machine that has not ended."""
    return _from_proc() if _ON_LINUX else _from_ps()


def _from_proc() -> dict[int, Process]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The command's name, in parentheses, may have anything in it.
                    state, parent, _, session, *rest = file.read().rpartition(b")")[2].split()
            except (OSError, ValueError):  # it has just ended
                continue
            if state not in (b"Z", b"X"):
                found[int(name)] = (int(parent), int(session), int(rest[17]) * _PAGE)
    return found


def _from_ps() -> dict[int, Process]:
    columns = ["ps", "-A", "-o", "pid=,ppid=,sess=,stat=,rss="]
    lines = subprocess.run(columns, capture_output=True, text=True, check=False).stdout.splitlines()
    fields = [line.split() for line in lines]
    return {
        int(pid): (int(parent), int(session, 16), int(kilobytes) * 1024)
        for pid, parent, session, state, kilobytes in fields
        if not state.startswith("Z")
    }


def tree(child: int) -> dict[int, int]:
    """Resident bytes of every process that descends from this one or is in the child's session."""
    known = processes()
    below, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, (parent, _, _) in known.items() if parent in below} - below
        below, grown = below | more, bool(more)
    own = os.getpid()
    return {pid: held for pid, (_, session, held) in known.items() if pid != own and (pid in below or session == child)}


def end(child: subprocess.Popen[bytes], patience: float) -> None:
    """End a command and all that it has started, with so many seconds to do it in order."""
    deadline = time.monotonic() + patience
    if patience > 0:
        _signal(tree(child.pid), signal.SIGTERM)
        while time.monotonic() < deadline and (child.poll() is None or tree(child.pid)):
            time.sleep(_POLL / 2)
    deadline = time.monotonic() + _LAST_TRY
    while (alive := tree(child.pid)) and time.monotonic() < deadline:
        _signal(alive, signal.SIGKILL)
        child.poll()
        time.sleep(0.005)
    child.wait()


def _signal(alive: dict[int, int], number: signal.Signals) -> None:
    for pid in alive:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def watch(asked: dict[str, Any]) -> dict[str, Any]:
    """Run a command within its limits, and tell how it ended."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that select returns as soon as the command ends
    system = ctypes.CDLL(None) if _ON_LINUX else None
    if system is not None:
        system.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def die_with_me() -> None:
        if system is not None:
            system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    started = time.monotonic()
    try:
        with open(asked["stdout"], "wb") as out, open(asked["stderr"], "wb") as errors:
            child = subprocess.Popen(
                asked["command"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                cwd=asked["folder"],
                start_new_session=True,
                preexec_fn=die_with_me,  # noqa: PLW1509 (there is one thread)
            )
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        sentence = f"{asked['command'][0]} cannot be run: {text}."
        return {"ended": "never", "code": 0, "seconds": 0.0, "peak_bytes": None, "sentence": sentence}
    peak, how = 0, ""
    while not how:
        if child.poll() is not None:
            how = "itself"
            break
        held = sum(tree(child.pid).values())
        peak = max(peak, held)
        if asked["memory"] is not None and held > asked["memory"]:
            how = "memory"
        elif asked["seconds"] is not None and time.monotonic() - started > asked["seconds"]:
            how = "time"
        else:
            ready, _, _ = select.select([0, woken], [], [], _POLL)
            if woken in ready:
                os.read(woken, 4096)
            if 0 in ready:
                how = "told" if os.read(0, 1) else "orphaned"
    seconds = time.monotonic() - started
    end(child, asked["patience"] if how in ("time", "told") else 0.0)
    if how == "orphaned":
        shutil.rmtree(asked["folder"], ignore_errors=True)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1024 if _ON_LINUX else 1)
    return {
        "ended": how,
        "code": child.returncode,
        "seconds": seconds,
        "peak_bytes": max(peak, largest),
        "sentence": "",
    }


if __name__ == "__main__":
    answer = json.dumps(watch(json.loads(sys.argv[1])))
    try:
        print(answer, flush=True)
    except BrokenPipeError:  # nobody is left to tell
        os._exit(0)
