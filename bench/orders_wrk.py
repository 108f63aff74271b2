"""Clients that cost next to nothing: wrk places and confirms orders, as pgbench does beside it.

A client in Python takes half a millisecond of the two cores for each order, a tenth of what they can do together.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.calling import Caller
from bench.wrk import REPORT, Heard, play

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


def place(port: int, callers: Sequence[Caller], products: Sequence[str], *, seconds: int) -> Heard:
    """Orders of two products (or of the only one) for so long."""
    return play(_at(port), seconds=seconds, script=PLACE, lists=[[one.token for one in callers], products])


def confirm(port: int, orders: Sequence[tuple[str, str]], *, seconds: int) -> Heard:
    """Confirm these (order, token) pairs until they or the time are over."""
    waiting = [f"{order} {token}" for order, token in orders]
    return play(_at(port), seconds=seconds, script=CONFIRM, lists=[waiting])


def _at(port: int) -> str:
    return f"http://127.0.0.1:{port}/"
