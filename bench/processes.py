"""Processor time of running processes, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def parent_of_all() -> dict[int, int]:
    """Process -> its parent."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (status := fields_of(int(folder.name))):
            found[int(folder.name)] = int(status[1])
    return found


def descends_from(process: int, ancestor: int, parents: dict[int, int]) -> bool:
    """Whether the process is this ancestor, a child of it, or a child's child."""
    while process in parents and process > 1:
        if process == ancestor:
            return True
        process = parents[process]
    return False


def family_seconds(ancestor: int) -> float:
    """Processor time of a process and of all that descend from it, with those of them that have ended."""
    parents = parent_of_all()
    return sum(seconds_of(process) for process in parents if descends_from(process, ancestor, parents))


def seconds_of(process: int) -> float:
    """Processor time of the process and of its children that have ended."""
    status = fields_of(process)
    return sum(map(int, status[11:15])) / TICK if status else 0.0


def fields_of(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; nothing when the process is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_of(process: int) -> str:
    """The command line."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
