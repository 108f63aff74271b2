"""The counters and histograms of prometheus_client, told apart by host and process where they are kept in files.

prometheus_client names the files for the process alone. Containers that share their folder give out the same few
process numbers, and two processes would write into one file. So these are taken from here, and from nowhere else.
"""

from __future__ import annotations

import os
import socket

from prometheus_client import Counter, Histogram, values

__all__ = ["Counter", "Histogram"]

HOST = socket.gethostname()


def this_process() -> str:
    """What no other process that shares the folder is called; asked at every count, since a process may fork."""
    return f"{HOST}-{os.getpid()}"


# Without PROMETHEUS_MULTIPROC_DIR there are no files, and the class is another one.
if values.ValueClass._multiprocess:
    values.ValueClass = values.MultiProcessValue(this_process)  # type: ignore[no-untyped-call]  # it has no types
