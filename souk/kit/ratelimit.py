"""How often somebody may do something, counted in Valkey by one atomic script.

A limit is a quota in a window (RATE_QUOTAS in the settings: name -> (quota, seconds)). It is kept as one number, the
moment at which all that was used is given back (the generic cell rate algorithm): the quota may be used at once, and
comes back evenly.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from souk.kit.problem import DependencyUnavailable, Refused

log = structlog.get_logger()

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
PATIENCE_SECONDS = 0.25
# After a failure nobody waits for Valkey again for so long.
PAUSE_SECONDS = 1.0

# KEYS: one per limit. ARGV: force, then window in milliseconds, quota and cost of each limit. Nothing is counted when
# one limit refuses, unless forced. Answers per limit: what is left, the milliseconds until all of it is back, and the
# milliseconds to wait.
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local force = ARGV[1] == '1'
local told, full, refused = {}, {}, false
for i, key in ipairs(KEYS) do
    local window, quota, cost = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    local before = math.max(tonumber(redis.call('GET', key) or now) or now, now)
    local after = before + cost * window / quota
    if force then
        after = math.max(math.min(after, now + window), now)
    end
    local wait = math.ceil(after - now - window)
    if wait > 0 then
        refused = true
    end
    full[i] = {before, after, window, quota, math.max(wait, 0)}
end
for i, key in ipairs(KEYS) do
    local before, after, window, quota, wait = unpack(full[i])
    local at = before
    if not refused then
        at = after
        if at > now then
            redis.call('SET', key, string.format('%.3f', at), 'PX', math.ceil(at - now) + 1)
        else
            redis.call('DEL', key)
        end
    end
    told[#told + 1] = math.max(math.floor((now + window - at) * quota / window + 0.0001), 0)
    told[#told + 1] = math.ceil(at - now)
    told[#told + 1] = wait
end
return told
"""


class RateLimited(Refused):
    """Too much was asked for in too short a time. `RateLimit-Policy` names the limit."""

    advice = "Wait for as many seconds as `Retry-After` says. `RateLimit` in every answer tells how much is left."
    status, code, title = 429, "rate_limited", "Too many requests"

    def __init__(self, detail: str = "", *, retry_after: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after), **(headers or {})})


@dataclass(frozen=True)
class Use:
    """Using a named limit: for whom (an address, a user, a name), and how much of it."""

    limit: str
    of: str
    cost: float = 1

    @property
    def quota(self) -> tuple[int, int]:
        """How much in how many seconds."""
        quota, seconds = settings.RATE_QUOTAS[self.limit]
        return quota, seconds

    @property
    def key(self) -> str:
        """The key in Valkey. Names of people do not stand in it."""
        return f"souk:limit:{self.limit}:{hashlib.sha256(self.of.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class Standing:
    """Where a limit stands: what is left, and the seconds until all of it is back."""

    limit: str
    quota: int
    window: int
    left: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"{self.limit}";q={self.quota};w={self.window}',
            "RateLimit": f'"{self.limit}";r={self.left};t={self.reset}',
        }


def use(request: HttpRequest, *uses: Use, needed: bool = False) -> None:
    """Count one request against its limits, and show the tightest of them in the answer's headers.

    Raises RateLimited, and counts nothing then. Without Valkey the request goes on, unless the limit is `needed`: then
    it is DependencyUnavailable.
    """
    shown: Standing | None = getattr(request, "rate_limit", None)
    _show(request, [*count(uses, needed=needed), *([shown] if shown else [])])


def give_back(request: HttpRequest, *uses: Use) -> None:
    """Take back part of what this request used, now that it turned out to cost less."""
    _show(request, count([replace(one, cost=-one.cost) for one in uses], force=True))


def _show(request: HttpRequest, standings: Sequence[Standing]) -> None:
    if standings:
        tightest = min(standings, key=lambda one: one.left / one.quota)
        request.rate_limit = tightest  # type: ignore[attr-defined]  # read by rate_limit_headers


def count(uses: Sequence[Use], *, needed: bool = False, force: bool = False) -> list[Standing]:
    """Count against limits, all or none; `force` counts what has already happened, as far as it goes, or takes it back.

    Returns where each stands; nothing when limits are off or Valkey is away. Raises RateLimited, DependencyUnavailable.
    """
    if not settings.RATE_LIMITS or not uses:
        return []
    numbers: list[Any] = []
    for one in uses:
        quota, seconds = one.quota
        numbers += [seconds * 1000, quota, one.cost]
    try:
        told = _ask([one.key for one in uses], [int(force), *numbers])
    except (redis.RedisError, OSError) as error:
        log.warning("rate limits cannot be counted", error=type(error).__name__, needed=needed)
        if needed:
            raise DependencyUnavailable("Sign-in is not possible for the moment.", retry_after=2) from error
        return []
    standings, waits = [], []
    for place, one in enumerate(uses):
        left, reset, wait = told[3 * place : 3 * place + 3]
        standings.append(Standing(one.limit, *one.quota, left=int(left), reset=math.ceil(reset / 1000)))
        waits.append(int(wait))
    if max(waits) > 0:
        worst = standings[waits.index(max(waits))]
        raise RateLimited(
            f"The limit {worst.limit} allows {worst.quota} in {worst.window} seconds.",
            retry_after=math.ceil(max(waits) / 1000),
            headers=worst.headers,
        )
    return standings


def address_of(request: HttpRequest) -> str:
    """The address that asks: the last hop that is not a proxy of ours. Of IPv6 the network (/64): a line has many."""
    hops = [request.META.get("REMOTE_ADDR") or ""]
    if settings.TRUSTED_PROXIES:
        hops = [*(request.META.get("HTTP_X_FORWARDED_FOR") or "").split(","), *hops]
    asks = "unknown"
    for hop in reversed(hops):
        address = _read_address(hop)
        if address is None:
            break
        asks = str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
        if not _is_proxy(address):
            break
    return asks


class RequestThrottle(BaseThrottle):
    """Every request of the API: reads per address, writes per user (of strangers, per address)."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if not settings.RATE_LIMITS:
            return True
        plain = request._request
        if plain.method in SAFE:
            use(plain, Use("reads", address_of(plain)))
        elif request.user:
            use(plain, Use("writes", str(request.user.pk)))
        else:
            use(plain, Use("writes", address_of(plain)))
        return True


def rate_limit_headers(request: HttpRequest) -> Iterable[tuple[str, str]]:
    """The headers that tell where the limits of a counted request stand; none when nothing was counted."""
    standing: Standing | None = getattr(request, "rate_limit", None)
    return () if standing is None else standing.headers.items()


class ForwardedByProxies:
    """Middleware, where there are proxies: who is none of them cannot say that the request came by HTTPS."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        address = _read_address(request.META.get("REMOTE_ADDR") or "")
        if address is None or not _is_proxy(address):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)


class _Line:
    """The connections to Valkey of this process."""

    lock: ClassVar[threading.Lock] = threading.Lock()
    script: ClassVar[Any] = None
    url: ClassVar[str] = ""
    closed_until: ClassVar[float] = 0.0


def _ask(keys: list[str], arguments: list[Any]) -> list[int]:
    if time.monotonic() < _Line.closed_until:
        raise redis.ConnectionError("Valkey was away a moment ago")
    try:
        answer: list[int] = _script()(keys=keys, args=arguments)
        return answer
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        _Line.closed_until = time.monotonic() + PAUSE_SECONDS
        raise


def _script() -> Any:
    if not settings.CACHE_URL:
        raise redis.ConnectionError("SOUK_CACHE_URL is not set")
    with _Line.lock:
        if _Line.script is None or _Line.url != settings.CACHE_URL:
            client = redis.Redis.from_url(
                settings.CACHE_URL,
                socket_timeout=PATIENCE_SECONDS,
                socket_connect_timeout=PATIENCE_SECONDS,
                # Once more: the connection may be older than the server.
                retry=Retry(NoBackoff(), 1),
            )
            _Line.script, _Line.url = client.register_script(SCRIPT), settings.CACHE_URL
        return _Line.script


def _read_address(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(hop.strip())
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _is_proxy(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in _trusted(tuple(settings.TRUSTED_PROXIES)))


@cache
def _trusted(proxies: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(proxy) for proxy in proxies]
