"""The supervisor: starts stages in order, waits until each is ready, restarts what dies, stops in reverse.

One thread and one `select`: children are started by a thread that lives as long as the supervisor (the kernel ties
"my parent died" to the thread that forked), and nothing can be half-done when a signal comes.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from souk.stack.child import Child, described_exit
from souk.stack.home import Home, write_file
from souk.stack.output import Output
from souk.stack.service import Service, StackError, Stage, Task

TRIES_AT_START = 3
HURRIED_GRACE = 1.0
PROBE_EVERY = 0.1
ME = "souk"


class Stopped(Exception):
    """Somebody asked the supervisor to stop while it was still starting."""


class Supervisor:
    """Runs `stages` under `home` until it is told to stop (SIGTERM, SIGINT), or cannot start them.

    `url` is what is shown of the stack; `open_for_business` answers None once the whole is ready, else what is missing;
    `announce` hears each message about the stack itself; `when_ready` runs once, and then the tasks `afterwards`, whose
    failure is only said.
    """

    def __init__(
        self,
        *,
        home: Home,
        stages: Sequence[Stage],
        url: str,
        output: Output,
        open_for_business: Callable[[], str | None],
        announce: Callable[[str], None],
        when_ready: Callable[[], None],
        afterwards: Sequence[Task] = (),
        patience: float = 90.0,
    ) -> None:
        self._home, self._stages, self._url, self._output = home, stages, url, output
        self._open_for_business, self._announce, self._when_ready = open_for_business, announce, when_ready
        self._afterwards, self._patience = afterwards, patience
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._asked = 0
        self._phase = "starting"
        self._written = ""
        self._began = datetime.now(UTC)

    def run(self) -> None:
        """Bring everything up, stay, and stop everything, whatever happens. Raises StackError when it cannot start."""
        with self._signals():
            try:
                for stage in self._stages:
                    self._bring_up(stage)
                self._wait_until_open()
                self._phase = "ready"
                self.say(f"ready in {(datetime.now(UTC) - self._began).total_seconds():.1f} s: {self._url}")
                self._turn(0)
                self._when_ready()
                self._begin_afterwards()
                while not self._asked:
                    self._turn(1.0)
            except Stopped:
                self.say("asked to stop while starting")
            except StackError as error:
                self._output.note(ME, str(error))
                raise
            finally:
                self._phase = "stopping"
                self._stop_all()
                self._home.state.unlink(missing_ok=True)

    def say(self, text: str) -> None:
        """A message about the stack itself."""
        self._output.line(ME, text)
        self._announce(text)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Count requests to stop; wake the `select` for them and for every child that ends."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self._selector.register(reader, selectors.EVENT_READ, None)

        def ask(number: int, frame: FrameType | None) -> None:
            self._asked += 1

        handlers: dict[signal.Signals, Any] = {signal.SIGTERM: ask, signal.SIGINT: ask, signal.SIGHUP: ask}
        handlers[signal.SIGCHLD] = lambda number, frame: None
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        woken_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(reader)
            os.close(writer)

    def _bring_up(self, stage: Stage) -> None:
        """Start a stage and wait for it. Raises StackError when a part does not come up, Stopped when asked to."""
        for task in stage.tasks:
            self._run_task(task)
        fresh = [Child(service, self._home) for service in stage.services]
        for child in fresh:
            self._children.append(child)
            self._start(child)
        while any(not child.was_ready for child in fresh):
            self._turn_while_starting()

    def _turn_while_starting(self) -> None:
        """One round of the start, which ends it when somebody asked for that or a part does not come up."""
        self._turn(0.05)
        if self._asked:
            raise Stopped
        for child in self._children:
            patience = child.what.patience
            if child.restarts >= TRIES_AT_START:
                said = f"{child.name} does not start: it ended {child.restarts} times."
                raise StackError(self._with_tail(child, said))
            if child.state == "starting" and time.monotonic() - child.began > patience:
                raise StackError(self._with_tail(child, f"{child.name} is not ready after {patience:.0f} s."))

    def _with_tail(self, child: Child, text: str) -> str:
        said = "\n".join(f"  {line}" for line in self._output.tail(child.name))
        return f"{text} Its last lines ({self._home.log / child.name}.log):\n{said}"

    def _run_task(self, task: Task) -> None:
        child = Child(task, self._home)
        self._children.append(child)
        self._output.forget_tail(task.name)
        self._start(child)
        while child.state != "stopped":
            self._turn_while_starting()
        self._children.remove(child)

    def _begin_afterwards(self) -> None:
        for task in self._afterwards:
            child = Child(task, self._home)
            self._children.append(child)
            self._start(child)

    def _wait_until_open(self) -> None:
        """Wait until every process and the whole are ready. Raises StackError when that takes too long."""
        deadline = time.monotonic() + self._patience
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise StackError(
                    f"Every process runs, but the stack is not ready after {self._patience:.0f} s: {missing}"
                )
            self._turn_while_starting()

    def _missing(self) -> str | None:
        """What keeps the stack from being ready."""
        waiting = [child.name for child in self._children if child.state != "ready"]
        return f"{', '.join(waiting)} not ready" if waiting else self._open_for_business()

    def _start(self, child: Child) -> None:
        child.start()
        self._selector.register(child.pipe, selectors.EVENT_READ, child)

    def _turn(self, seconds: float) -> None:
        """One round: pass on what was said, bury the dead, probe the young, start again what is due."""
        pending = any(child.state in ("starting", "restarting") for child in self._children)
        for key, _ in self._selector.select(min(seconds, 0.1) if pending else seconds):
            if key.data is None:
                os.read(key.fd, 4096)
            else:
                self._pass_on(key.data)
        for child in list(self._children):
            self._look_after(child)
        self._write_state()

    def _pass_on(self, child: Child) -> None:
        pipe = child.pipe
        for line in child.read_lines():
            self._output.line(child.name, line)
        if child.pipe == -1:
            self._selector.unregister(pipe)

    def _look_after(self, child: Child) -> None:
        code = child.exit_code()
        if code is not None:
            self._ended(child, code)
        elif child.state == "starting" and isinstance(child.what, Service):
            self._probe(child, child.what)
        elif child.state == "restarting" and time.monotonic() >= child.restart_at and not self._asked:
            self._try_again(child)

    def _probe(self, child: Child, service: Service) -> None:
        now = time.monotonic()
        if now - child.began < service.settle or now < child.probe_at:
            return
        child.probe_at = now + PROBE_EVERY
        if not service.ready():
            return
        child.state = "ready"
        if not child.was_ready:
            service.provision()
            child.was_ready = True
        self.say(f"{child.name} is ready ({time.monotonic() - child.began:.1f} s)")

    def _try_again(self, child: Child) -> None:
        try:
            self._start(child)
        except StackError as error:
            pause = child.plan_restart(time.monotonic())
            self.say(f"{error} Trying again in {pause:.1f} s.")

    def _ended(self, child: Child, code: int) -> None:
        child.bury()
        if child.pipe != -1:
            self._pass_on(child)
        if child.pipe != -1:  # somebody outside our reach still holds the other end
            self._selector.unregister(child.pipe)
            os.close(child.pipe)
            child.pipe = -1
        how = described_exit(code)
        if child.state == "stopping" or (isinstance(child.what, Task) and code == 0):
            child.state = "stopped"
        elif isinstance(child.what, Task):
            child.state = "stopped"
            if child.what in self._afterwards:
                self.say(f"{child.name} {how}")
                return
            raise StackError(self._with_tail(child, f"`{child.name}` {how}."))
        else:
            pause = child.plan_restart(time.monotonic())
            self.say(f"{child.name} {how}; starting it again in {pause:.1f} s (restart {child.restarts})")

    def _stop_all(self) -> None:
        """Stop one by one, the last started first; what does not end within its grace time is killed."""
        for child in reversed(self._children):
            if child.process is None:
                child.state = "stopped"
                continue
            began = time.monotonic()
            grace = child.what.grace if isinstance(child.what, Service) else 5.0
            child.ask_to_stop()
            while child.state != "stopped":
                self._turn(0.1)
                spent = time.monotonic() - began
                if spent > (HURRIED_GRACE if self._asked > 1 else grace):
                    self.say(f"{child.name} did not stop within {spent:.0f} s: killing it")
                    child.kill()
                    began = time.monotonic()
            self.say(f"{child.name} is stopped")
        self._output.close()

    def _write_state(self) -> None:
        """Let other commands see the stack; only when something changed."""
        services = [
            {"name": child.name, "pid": child.pid, "state": child.state, "restarts": child.restarts}
            for child in self._children
            if isinstance(child.what, Service)
        ]
        state = {
            "pid": os.getpid(), "url": self._url, "phase": self._phase,
            "started": self._began.isoformat(timespec="seconds").replace("+00:00", "Z"), "services": services,
        }  # fmt: skip
        text = json.dumps(state)
        if text != self._written:
            write_file(self._home.state, text)
            self._written = text
