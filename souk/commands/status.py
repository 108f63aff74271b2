"""`souk status`: what runs and how it is, as a table that stays up to date on a terminal."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import typer
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from souk import settings
from souk.commands.path_table import path_table
from souk.stack.api import ask
from souk.stack.home import Home
from souk.stack.identity import read_stat, tree_rss_bytes

app = typer.Typer()
HOME = Home(settings.HOME)
EVERY_SECONDS = 1.0
COLOURS = {
    "ready": "green", "ok": "green", "starting": "yellow", "degraded": "yellow", "warning": "yellow",
    "restarting": "yellow", "stopping": "yellow",
}  # fmt: skip
REQUESTS = re.compile(rb'^souk_http_requests_total\{[^}]*status="(\d)\d\d"\} (\S+)$', re.MULTILINE)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Show it once, on a terminal too.")] = False,
) -> None:
    """Show what runs; on a terminal until Ctrl-C. Exit code 0 when the stack serves, 1 when not."""
    console = Console()
    found = stack_status()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif once or not console.is_terminal or not found["processes"]:
        console.print(shown(found))
    else:
        found = watch(console, found)
    raise typer.Exit(0 if found["status"] in ("ready", "degraded") else 1)


def watch(console: Console, found: dict[str, Any]) -> dict[str, Any]:
    """Show it and look again every second, until Ctrl-C; returns what was seen last."""
    traffic = Traffic()
    # What a script starts in the background ignores Ctrl-C, which is the only way to end this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(
                Group(shown(found), traffic.since(found["url"]), Text("Ctrl-C ends this.", "dim")), refresh=True
            )
            time.sleep(EVERY_SECONDS)
            found = stack_status()
    console.print(shown(found))
    return found


def stack_status() -> dict[str, Any]:
    """The shape of `/health/ready` (`status`, `checks`, `event_path`), `url`, `processes`, `rss_bytes` of the whole.

    `status` is `stopped` where nothing runs, `starting` and `stopping` meanwhile, `unavailable` where the API does not
    answer. Memory is resident memory; what the processes of one service share counts once, but for the pages of files.
    """
    supervisor = HOME.supervisor()
    state = HOME.read_state() if supervisor else {}
    if not supervisor or not state:
        starting = supervisor is not None
        return {
            "status": "starting" if starting else "stopped",
            "checks": {},
            "url": None,
            "processes": [],
            "rss_bytes": 0,
        }
    me = {"name": "supervisor", "pid": supervisor.pid, "state": state["phase"], "restarts": 0}
    processes = [{**service, "rss_bytes": tree_rss_bytes(service["pid"] or -1)} for service in state["services"]]
    own = read_stat(supervisor.pid)
    processes.append({**me, "rss_bytes": own.rss_bytes if own else 0})
    body = ask(f"{state['url']}/health/ready", seconds=5)[1] if state["phase"] == "ready" else {}
    said = body.get("status") or ("unavailable" if state["phase"] == "ready" else state["phase"])
    return {
        "status": said if isinstance(said, str) else "unavailable",
        "checks": body.get("checks", {}),
        "event_path": body.get("event_path"),
        "url": state["url"],
        "started": state["started"],
        "processes": processes,
        "rss_bytes": sum(process["rss_bytes"] for process in processes),
    }


def shown(found: Mapping[str, Any]) -> RenderableType:
    """The same for a person."""
    head = Text.assemble("Souk is ", coloured(found["status"]), f" at {found['url']}" if found["url"] else "")
    if not found["processes"]:
        return Group(head, Text(f"Nothing runs on {HOME.path}. `souk up` starts it."))
    table = Table("process", box=None)
    for title in ("pid", "state", "restarts", "MiB"):
        table.add_column(title, justify="left" if title == "state" else "right")
    for row in found["processes"]:
        restarts = Text(str(row["restarts"]), "yellow" if row["restarts"] else "")
        table.add_row(
            row["name"], str(row["pid"] or "-"), coloured(row["state"]), restarts, str(row["rss_bytes"] >> 20)
        )
    table.add_row("", "", "", "", f"{found['rss_bytes'] >> 20}", style="bold")
    checks = [Text.assemble(f"{name} ", coloured(check["state"])) for name, check in found["checks"].items()]
    parts: list[RenderableType] = [head, table, Columns(checks, padding=(0, 3))]
    if found.get("event_path"):
        parts.append(path_table(found["event_path"]))
    return Group(*parts)


def coloured(state: str) -> Text:
    """A state in its colour: green is well, yellow passes or wants an eye, everything else is red."""
    return Text(state, f"bold {COLOURS.get(state, 'red')}")


def metrics_of(url: str | None) -> bytes:
    """The text of `/metrics`; nothing where nobody answers."""
    try:
        return httpx.get(f"{url}/metrics", timeout=5).content
    except (httpx.HTTPError, httpx.InvalidURL):
        return b""


@dataclass(slots=True)
class Traffic:
    """What `/metrics` counted between two looks."""

    at: float = 0.0
    answered: float = 0.0
    failed: float = 0.0

    def since(self, url: str | None) -> Text:
        """Requests per second since the last look; nothing at the first one."""
        counts = [(first, float(number)) for first, number in REQUESTS.findall(metrics_of(url))]
        now, answered = time.monotonic(), sum(number for _, number in counts)
        failed = sum(number for first, number in counts if first == b"5")
        before, self.at, self.answered, self.failed = (self.at, self.answered, self.failed), now, answered, failed
        if not before[0] or answered < before[1]:
            return Text("")
        seconds = now - before[0]
        rate, failing = (answered - before[1]) / seconds, (failed - before[2]) / seconds
        return Text(f"{rate:.0f} requests/s, {failing:.0f} of them failed", "red" if failing else "")
