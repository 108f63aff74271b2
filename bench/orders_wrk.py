"""Clients that cost next to nothing: wrk places and confirms orders, as pgbench does beside it.

A client in Python takes half a millisecond of the two cores for each order, a tenth of what they can do together.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.calling import Caller
from bench.server import REPORT

CLIENTS = 8
# Every request has an Idempotency-Key of its own.
REQUESTS = (
    REPORT
    + """
local function lines_of(path)
    local found = {}
    for line in io.lines(path) do found[#found + 1] = line end
    return found
end
local function key()
    return string.format("%08x-%08x-%08x", math.random(0, 2^31 - 1), math.random(0, 2^31 - 1), math.random(0, 2^31 - 1))
end
local function post(path, token, body)
    return "POST /api/v1" .. path .. " HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer " .. token
        .. "\\r\\nContent-Type: application/json\\r\\nContent-Length: " .. #body
        .. "\\r\\nIdempotency-Key: " .. key() .. "\\r\\n\\r\\n" .. body
end
"""
)
PLACE = (
    REQUESTS
    + """
local tokens, products
function init(args)
    tokens, products = lines_of(args[1]), lines_of(args[2])
    math.randomseed(os.time())
end
function request()
    local first = math.random(#products)
    local lines = '{"product_id":"' .. products[first] .. '","quantity":1}'
    if #products > 1 then
        local second = (first - 1 + math.random(#products - 1)) % #products + 1
        lines = lines .. ',{"product_id":"' .. products[second] .. '","quantity":1}'
    end
    return post("/orders", tokens[math.random(#tokens)], '{"lines":[' .. lines .. ']}')
end
"""
)
CONFIRM = (
    REQUESTS
    + """
local orders, at = nil, 0
function init(args)
    orders = lines_of(args[1])
    math.randomseed(os.time())
end
function request()
    at = at + 1
    if at > #orders then
        wrk.thread:stop()
        return "GET /health/live HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"
    end
    local id, token = orders[at]:match("(%S+) (%S+)")
    return post("/orders/" .. id .. "/confirm", token, '{"payment":{"method":"card","token":"tok_ok"}}')
end
"""
)


@dataclass(frozen=True)
class Heard:
    """What the clients heard: answers, those with a status of 400 and more or none, seconds, milliseconds."""

    answers: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float


def place(port: int, callers: Sequence[Caller], products: Sequence[str], *, seconds: int) -> Heard:
    """Orders of two products (or of the only one) for so long."""
    return _played(PLACE, port, seconds, [one.token for one in callers], products)


def confirm(port: int, orders: Sequence[tuple[str, str]], *, seconds: int) -> Heard:
    """Confirm these (order, token) pairs until they or the time are over."""
    return _played(CONFIRM, port, seconds, [f"{order} {token}" for order, token in orders])


def _played(script: str, port: int, seconds: int, *lists: Sequence[str]) -> Heard:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "play.lua").write_text(script)
        files = [folder / str(place) for place in range(len(lists))]
        for file, lines in zip(files, lists, strict=True):
            file.write_text("".join(f"{line}\n" for line in lines))
        argv = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "-s", str(folder / "play.lua")]
        argv += [f"http://127.0.0.1:{port}/", "--", *map(str, files)]
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    answers, microseconds, p50, p99, errors = map(float, re.findall(r"[\d.]+", told[told.index("RESULT") :])[:5])
    return Heard(int(answers), int(errors), microseconds / 1e6, round(p50 / 1e3, 1), round(p99 / 1e3, 1))
