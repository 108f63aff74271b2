"""wrk, whose script tells what was heard."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CLIENTS = 8
# Percentiles that wrk's own summary leaves out.
REPORT = """
done = function(summary, latency)
    local all = summary.errors
    io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), all.connect + all.read + all.write + all.status + all.timeout))
end
"""
# Makes each request for an address with a star its own: no cache has the answer.
ANOTHER = """
if wrk.path:find("*", 1, true) then
    local head, tail = wrk.path:match("^(.-)%*(.*)$")
    local number = 1e9 + os.time() % 1e5 * 1e4
    request = function()
        number = number + 1
        return wrk.format("GET", head .. string.format("%d", number) .. tail)
    end
end
"""


@dataclass(frozen=True)
class Heard:
    """What the clients heard: answers, those with a status of 400 and more or none, seconds, milliseconds."""

    answers: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float


def play(
    address: str,
    *,
    seconds: int,
    script: str = REPORT,
    lists: Sequence[Sequence[str]] = (),
    clients: int = CLIENTS,
    token: str | None = None,
) -> Heard:
    """Ask this address, or what the script asks, for so long. The script is told of files with the lists."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "play.lua").write_text(script)
        files = [folder / str(place) for place in range(len(lists))]
        for file, lines in zip(files, lists, strict=True):
            file.write_text("".join(f"{line}\n" for line in lines))
        bearer = ["-H", f"Authorization: Bearer {token}"] if token else []
        argv = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(folder / "play.lua"), *bearer]
        argv += [address, "--", *map(str, files)]
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    answers, microseconds, p50, p99, errors = map(float, re.findall(r"[\d.]+", told[told.index("RESULT") :])[:5])
    return Heard(int(answers), int(errors), microseconds / 1e6, round(p50 / 1e3, 2), round(p99 / 1e3, 2))
