"""The embedded stack as a whole: up, down, status, logs, reset."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated

import typer

from souk import settings
from souk.commands.reading import follow, last_lines, log_files
from souk.stack.api import Gate
from souk.stack.child import stop_orphans
from souk.stack.home import Home, RunsAlready, write_file
from souk.stack.identity import wait_until
from souk.stack.output import Output
from souk.stack.plan import Plan, souk_task
from souk.stack.process import Supervisor
from souk.stack.service import StackError, Stage

app = typer.Typer()
HOME = Home(settings.HOME)
# What `reset` removes: what the stack makes, by name, so that a SOUK_HOME set by mistake loses nothing else.
STATE = ("postgres", "valkey", "capture", "mail", "secrets.json", "ports.json", "log", "version")
STOP_SECONDS = 150
DEMO_HOLD_SECONDS = 60


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once everything is ready.")] = False,
    port: Annotated[int, typer.Option(help="The port of the API; 0 takes a free one.")] = settings.PORT,
    host: Annotated[str, typer.Option(help="The address the API listens on.")] = "127.0.0.1",
    demo: Annotated[
        bool, typer.Option("--demo", help="Load the demo catalogue; play the demo where not detached.")
    ] = False,
    report: Annotated[int, typer.Option(hidden=True, help="A descriptor to tell `--detach` about the start.")] = -1,
) -> None:
    """Start everything on this machine and stay until Ctrl-C."""
    forget_stale_environment()
    try:
        HOME.make()
        if detach:
            raise typer.Exit(start_detached(port=port, host=host, demo=demo))
        with HOME.locked():
            supervise(port=port, host=host, demo=demo, report=report)
    except StackError as error:
        tell(report, "!", str(error))
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def forget_stale_environment() -> None:
    """Begin again without what a stack that was killed told of itself: the settings have read it."""
    if HOME.environment.exists() and not HOME.is_locked():
        HOME.environment.unlink()
        command = [sys.executable, "-m", "souk", *sys.argv[1:]]
        os.execve(command[0], command, own_environ())  # noqa: S606 - no shell is the point


def own_environ() -> dict[str, str]:
    """Our environment for another process, which is of another kind than this one."""
    return {name: value for name, value in os.environ.items() if name != "SOUK_PROCESS"}


def supervise(*, port: int, host: str, demo: bool, report: int) -> None:
    """Run the stack in this process until it is stopped."""
    detached = report >= 0
    output = Output(HOME.log, quiet=detached)
    environ = own_environ()
    if demo and not environ.get("SOUK_ORDER_HOLD_SECONDS"):
        # The demonstration lets an order expire before the eyes of whoever started it.
        environ["SOUK_ORDER_HOLD_SECONDS"] = str(DEMO_HOLD_SECONDS)
        output.line("souk", f"orders hold their stock for {DEMO_HOLD_SECONDS} s here (SOUK_ORDER_HOLD_SECONDS)")
    plan = Plan(
        home=HOME, environ=environ, host=host, port=port,
        database_url=environ.get("SOUK_DATABASE_URL", ""), redis_url=environ.get("SOUK_REDIS_URL", ""),
        cache_url=environ.get("SOUK_CACHE_URL", ""), secret_key=environ.get("SOUK_SECRET_KEY", ""),
        say=lambda text: output.line("postgres", text),
    )  # fmt: skip
    HOME.make()
    stop_orphans(HOME, say=lambda text: output.line("souk", text))
    plan.check()
    HOME.count_anew()
    gate = Gate(plan.url)
    env = {**plan.environ, **plan.environment, "PYTHONUNBUFFERED": "1"}
    stages = list(plan.stages())
    if demo:
        stages.insert(2, Stage(tasks=(souk_task("demo --load-only", env, HOME.path),)))
    write_file(HOME.environment, "".join(f"{name}={value}\n" for name, value in plan.environment.items()))
    supervisor = Supervisor(
        home=HOME, stages=stages, url=plan.url, output=output, open_for_business=gate,
        announce=lambda text: tell(report, "+", text), when_ready=lambda: opened(gate, plan, report, output),
        afterwards=(souk_task("demo", env, HOME.path),) if demo and not detached else (),
    )  # fmt: skip
    try:
        supervisor.run()
    finally:
        HOME.environment.unlink(missing_ok=True)


def opened(gate: Gate, plan: Plan, report: int, output: Output) -> None:
    """Tell whoever waits that the stack is open, and a person where to go."""
    if gate.degraded:
        output.line("souk", f"warning: open, but degraded: {gate.degraded}")
    for what, path in (("API", "/api/v1"), ("health", "/health/ready"), ("metrics", "/metrics")):
        output.line("souk", f"{what:<8} {plan.url}{path}")
    output.line("souk", "stop with Ctrl-C, or `souk down` in another terminal")
    tell(report, "=", plan.url + (f" (degraded: {gate.degraded})" if gate.degraded else ""))


def tell(report: int, kind: str, text: str) -> None:
    """Pass one message to the `souk up --detach` that waits for it; it may be gone."""
    if report >= 0:
        with suppress(OSError):
            os.write(report, f"{kind}{json.dumps(text)}\n".encode())


def start_detached(*, port: int, host: str, demo: bool) -> int:
    """Start a supervisor of its own session, and wait until it says that it is ready (0) or why it is not (1)."""
    if HOME.is_locked():
        raise RunsAlready(HOME.who_runs())
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "souk", "up", "--port", str(port), "--host", host, "--report", str(writer)]
    with (HOME.log / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *(["--demo"] if demo else [])], env=own_environ(), cwd=HOME.path, pass_fds=(writer,),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    os.close(writer)
    try:
        with os.fdopen(reader) as messages:
            kind = pass_on(messages)
        if kind == "=":
            return 0
        process.wait(STOP_SECONDS)
        if kind != "!":
            typer.echo(
                f"Souk ended with {process.returncode} while it started; {HOME.log / 'up.log'} says more.", err=True
            )
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
    return 1


def pass_on(messages: Iterable[str]) -> str:
    """Show what a starting supervisor tells; its last kind of message: `=` ready, `!` failed, empty when it died."""
    for message in messages:
        kind, text = message[0], json.loads(message[1:])
        typer.echo(f"Souk is ready at {text}" if kind == "=" else text, err=kind == "!")
        if kind in "=!":
            return kind
    return ""


@app.command()
def down() -> None:
    """Stop everything, in order."""
    if not HOME.run.exists():
        typer.echo(f"Nothing runs on {HOME.path}.")
        return
    try:
        stop_stack(typer.echo)
    except StackError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def stop_stack(say: Callable[[str], None]) -> None:
    """Stop the supervisor of this home, or what is left of one that was killed. Raises StackError if it stays."""
    supervisor = HOME.supervisor()
    if supervisor:
        supervisor.signal(signal.SIGTERM)
        if not wait_until(lambda: not supervisor.alive(), seconds=STOP_SECONDS):
            raise StackError(f"The supervisor (pid {supervisor.pid}) does not stop; {HOME.log / 'souk.log'} says why.")
        say("Souk is stopped.")
        return
    with HOME.locked():
        stop_orphans(HOME, say=say)
        HOME.environment.unlink(missing_ok=True)
        HOME.state.unlink(missing_ok=True)
    say(f"Nothing runs on {HOME.path}.")


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="One process; all of them where none is named.")] = "",
    following: Annotated[bool, typer.Option("--follow", "-f", help="Stay and show what comes.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, help="How many of the last lines.")] = 100,
) -> None:
    """Show what the processes said."""
    files = log_files(HOME.log, service)
    if not files:
        known = ", ".join(sorted(log_files(HOME.log, ""))) or "nothing yet"
        typer.echo(f"There is no log of {service or 'any process'} under {HOME.log}. There is: {known}.", err=True)
        raise typer.Exit(1)
    for line in last_lines(files, lines):
        typer.echo(line)
    if following:
        with suppress(KeyboardInterrupt):
            for line in follow(HOME.log, service):
                typer.echo(line)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Yes, remove everything.")] = False) -> None:
    """Stop the embedded stack and remove all it keeps: database, streams, logs."""
    if "SOUK_DATABASE_URL" in settings.EXTERNAL:
        typer.echo("SOUK_DATABASE_URL is set: this database is not Souk's to remove. Nothing was done.", err=True)
        raise typer.Exit(1)
    if not yes:
        typer.echo(
            f"This removes the database and all else under {HOME.path}. Say `souk reset --yes` if you mean it.",
            err=True,
        )
        raise typer.Exit(1)
    if not HOME.run.exists():
        typer.echo(f"There is nothing under {HOME.path}.")
        return
    try:
        stop_stack(typer.echo)
        with HOME.locked():
            for name in STATE:
                path = HOME.path / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except (StackError, OSError) as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{HOME.path} is empty; `souk up` begins anew.")
