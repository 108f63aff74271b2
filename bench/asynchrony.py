"""Where waiting costs what: the API under WSGI and under ASGI, and connections that wait as threads and as tasks.

    python -m bench.asynchrony --seconds 8

The database is that of `SOUK_DATABASE_URL`, on which one may be made; `wrk` comes from the system.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import django

from bench.serving import environment, migrate
from souk.stack.api import ask, granian_argv
from souk.stack.home import free_port
from souk.stack.postgres import running_postgres

RESULT = Path(__file__).parent / "results" / "asynchrony.json"
TICK = os.sysconf("SC_CLK_TCK")
WAITING = 2000
# A listener is a socket to wait for: in a thread of its own, or as a task of one loop.
THREADS = """
import socket, sys, threading, time
pairs = [socket.socketpair() for _ in range(int(sys.argv[1]))]
for own, _ in pairs:
    threading.Thread(target=own.recv, args=[1], daemon=True).start()
time.sleep(2)
print(next(line for line in open("/proc/self/smaps_rollup") if line.startswith("Rss")).split()[1])
"""
TASKS = """
import asyncio, socket, sys
async def main():
    pairs = [socket.socketpair() for _ in range(int(sys.argv[1]))]
    for own, _ in pairs:
        own.setblocking(False)
    loop = asyncio.get_running_loop()
    waiting = [asyncio.create_task(loop.sock_recv(own, 1)) for own, _ in pairs]
    await asyncio.sleep(2)
    print(next(line for line in open("/proc/self/smaps_rollup") if line.startswith("Rss")).split()[1])
asyncio.run(main())
"""


@contextmanager
def served(env: dict[str, str], *, under_asgi: bool) -> Iterator[tuple[int, int]]:
    """The API under one of the two; its port and the process above its workers."""
    port = free_port()
    argv = list(granian_argv(host="127.0.0.1", port=port))
    if under_asgi:
        argv[argv.index("souk.wsgi:application")] = "bench.asgi_api:application"
        argv[argv.index("wsgi")] = "asgi"
        place = argv.index("--blocking-threads")
        del argv[place : place + 2]  # there the threads are asgiref's
    log = Path(env["SOUK_HOME"]) / "api.log"
    with log.open("ab") as out:
        server = subprocess.Popen(argv, env={**env, "SOUK_PROCESS": "api"}, stdout=out, stderr=out)
        try:
            until = time.monotonic() + 60
            while ask(f"http://127.0.0.1:{port}/health/live")[0] != 200:
                if time.monotonic() > until:
                    raise RuntimeError(log.read_text()[-2000:])
                time.sleep(0.1)
            yield port, server.pid
        finally:
            server.terminate()
            server.wait(20)


def processor_seconds(pid: int) -> float:
    """Of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in [str(pid), *children]]
    return sum(int(own[11]) + int(own[12]) for own in fields) / TICK


def asked(port: int, pid: int, seconds: int) -> dict[str, float]:
    """Eight connections that ask for the machines and for a list; requests a second, p99, processor time of one."""
    found: dict[str, float] = {}
    for name, path in (("machines", "/api/v1/machines/order"), ("list", "/api/v1/products")):
        before = processor_seconds(pid)
        argv = ["wrk", "-t1", "-c8", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}{path}"]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        spent = processor_seconds(pid) - before
        number = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]  # wrk always says so
        p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]  # the same
        found[f"{name}_per_second"] = round(number / seconds, 1)
        found[f"{name}_p99_ms"] = round(float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit], 1)
        found[f"{name}_api_cpu_ms"] = round(spent / number * 1000, 2)
    return found


def waiting(script: str) -> float:
    """Kilobytes that one more connection costs that waits."""
    few, many = (
        int(subprocess.run([sys.executable, "-c", script, str(n)], capture_output=True, text=True, check=True).stdout)
        for n in (10, WAITING)
    )
    return round((many - few) / (WAITING - 10), 1)


def main() -> None:
    """Measure and write down what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8)
    seconds = parser.parse_args().seconds
    with TemporaryDirectory() as folder, running_postgres(Path(folder) / "home") as url:
        env = environment(url, Path(folder) / "home")
        migrate(env)
        found: dict[str, object] = {"django": django.__version__, "kilobytes_per_thread": waiting(THREADS)}
        found["kilobytes_per_task"] = waiting(TASKS)
        for name in ("wsgi", "asgi"):
            with served(env, under_asgi=name == "asgi") as (port, pid):
                asked(port, pid, 2)
                found[name] = asked(port, pid, seconds)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
