"""The one outside system: the receivers. What is sent is signed as Standard Webhooks says; where it goes is looked at.

An address that a stranger names is a way to make this server knock at doors that only it can reach. So the name is
resolved here, every address it has must be a public one, and the connection goes to the very address that was looked
at. `docs/webhooks.md` lists what is refused.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from souk.kit.context import is_recorded

SECONDS_TO_CONNECT = 5.0
SECONDS_IN_ALL = 15.0
LONGEST_URL = 2048
LONGEST_RETRY_AFTER = 24 * 3600
PREFIX = "whsec_"
# What Python calls global, or may call so, and is nobody's public server.
REFUSED = [
    ip_network(one)
    for one in (
        "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
    )
]  # fmt: skip
# A number in any of the spellings that resolvers take for an IPv4 address: octal, hexadecimal, without dots.
NUMERIC = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?", re.IGNORECASE)
# Names are waited for in threads of their own: a name server that never answers must hold up nobody else.
RESOLVERS = ThreadPoolExecutor(max_workers=32, thread_name_prefix="resolve")


class BadAddress(Exception):
    """Souk does not send there. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent: `id` stays the same over all tries; every one of the `secrets` signs."""

    id: str
    url: str
    body: bytes
    secrets: Sequence[str]
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of it. Without an answer there is no status code; `error` is None when it was taken (2xx).

    `retry_after` is in seconds, as the receiver asked.
    """

    status_code: int | None
    duration_ms: int
    error: str | None
    retry_after: float | None = None


def check_url(url: str, *, allow_loopback: bool) -> httpx.URL:
    """The address, read once and for all. Raises BadAddress for what could never be sent to; asks no name server."""
    if len(url) > LONGEST_URL or not url.isascii() or any(sign <= " " or sign in '\\"<>^`{|}\x7f' for sign in url):
        raise BadAddress(f"An address is at most {LONGEST_URL} characters of printable ASCII; names as xn--...")
    try:
        address = httpx.URL(url)
        host = address.host  # decodes a name that begins with xn--, and not every one can be
    except (httpx.InvalidURL, UnicodeError) as invalid:
        raise BadAddress("This is not an address.") from invalid
    if address.scheme != "https" and not (address.scheme == "http" and allow_loopback):
        raise BadAddress("The address must begin with https://.")
    if not host or address.userinfo or "@" in url.split("/")[2] or address.fragment:
        raise BadAddress("The address has a host, and neither a user name nor a fragment.")
    if address.port is not None and not 0 < address.port < 65536:
        raise BadAddress("A port is a number from 1 to 65535.")
    try:
        literal = ip_address(host)
    except ValueError:
        if NUMERIC.fullmatch(host):
            raise BadAddress("A numeric address is written in four decimal numbers.") from None
    else:
        _check_ip(literal, scheme=address.scheme, allow_loopback=allow_loopback)
    return address


def signature(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one secret, as Standard Webhooks says: `v1,` and the HMAC-SHA256 in Base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def open_client(*, trusted: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client for any number of messages at once. No connection is used twice: it was looked at for one message.

    `trusted` says which certificates are believed; without it those of the public authorities.
    """
    return httpx.AsyncClient(
        # One receiver's cookies are none of another one's, and both may stand at one address.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        verify=trusted or httpx.create_ssl_context(trust_env=False),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(SECONDS_IN_ALL, connect=SECONDS_TO_CONNECT),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    )


async def send(client: httpx.AsyncClient, message: Message, *, allow_loopback: bool) -> Sent:
    """Send once. Never raises for anything the receiver does; of its answer only the head is read."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS_IN_ALL):
            status, retry_after = await _post(client, message, allow_loopback=allow_loopback)
    except (BadAddress, OSError, httpx.HTTPError, httpx.InvalidURL) as failed:
        reason = str(failed) if isinstance(failed, BadAddress) else _shown(failed)
        return Sent(status_code=None, duration_ms=_since(began), error=reason)
    taken = 200 <= status < 300
    error = None if taken else "Redirects are not followed." if 300 <= status < 400 else f"It answered {status}."
    return Sent(status_code=status, duration_ms=_since(began), error=error, retry_after=retry_after)


async def _post(client: httpx.AsyncClient, message: Message, *, allow_loopback: bool) -> tuple[int, float | None]:
    url = check_url(message.url, allow_loopback=allow_loopback)
    addresses = await _resolve(url, allow_loopback=allow_loopback)
    timestamp = int(time.time())
    signatures = [
        signature(secret, message_id=message.id, timestamp=timestamp, body=message.body) for secret in message.secrets
    ]
    headers = {
        "Host": url.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": "Souk-Webhooks/1",
        "Connection": "close",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
        **({"traceparent": message.traceparent} if message.traceparent and is_recorded(message.traceparent) else {}),
    }
    for last, address in enumerate(addresses, start=1 - len(addresses)):
        request = client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            headers=headers,
            content=message.body,
            extensions={"sni_hostname": url.host},  # the certificate is checked against the name, not the address
        )
        try:
            response = await client.send(request, stream=True)
        except httpx.ConnectError:
            if last == 0:
                raise
            continue
        await response.aclose()
        return response.status_code, _retry_after(response.headers.get("Retry-After"))
    raise BadAddress("The name has no address.")


async def _resolve(url: httpx.URL, *, allow_loopback: bool) -> list[IPv4Address | IPv6Address]:
    """The addresses of the host, each one allowed. One that is not spoils all: no honest name has both kinds."""
    loop = asyncio.get_running_loop()
    port = url.port or (443 if url.scheme == "https" else 80)

    def look_up() -> list[tuple[object, ...]]:
        return list(socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM))

    try:
        found = await asyncio.wait_for(loop.run_in_executor(RESOLVERS, look_up), SECONDS_TO_CONNECT)
    except (socket.gaierror, UnicodeError) as unknown:
        raise BadAddress("The name cannot be resolved.") from unknown
    addresses = list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))  # type: ignore[index]  # a socket address begins with the host
    for address in addresses:
        _check_ip(address, scheme=url.scheme, allow_loopback=allow_loopback)
    # One of each family is enough: this machine may be able to reach one family alone.
    return list({address.version: address for address in reversed(addresses)}.values())[::-1]


def _check_ip(address: IPv4Address | IPv6Address, *, scheme: str, allow_loopback: bool) -> None:
    real = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    if real.is_loopback and allow_loopback:
        return
    if not real.is_global or real.is_multicast or real.is_reserved or any(real in network for network in REFUSED):
        raise BadAddress("The address is not a public one.")
    if scheme != "https":
        raise BadAddress("The address must begin with https://.")


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or a date; None for anything else."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) < 10:
        seconds = float(value)
    else:
        try:
            moment = parsedate_to_datetime(value)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _shown(failed: Exception) -> str:
    kinds = {
        TimeoutError: f"No answer within {SECONDS_IN_ALL:.0f} seconds.",
        httpx.TimeoutException: f"No answer within {SECONDS_IN_ALL:.0f} seconds.",
        httpx.ConnectError: "No connection.",
        httpx.NetworkError: "The connection broke off.",
        httpx.RemoteProtocolError: "The answer is not HTTP.",
    }
    return next((text for kind, text in kinds.items() if isinstance(failed, kind)), type(failed).__name__)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
