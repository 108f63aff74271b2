"""What the sender refuses to knock at, and what it bears from a receiver. The network is this machine's own."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from souk.webhooks import gateway
from souk.webhooks.gateway import BadAddress, Message, Sent, check_url, open_client, send, signature
from tests.receivers import raw_receiver, running_receiver

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # the sample of the Standard Webhooks specification


def send_once(url: str, *, allow_loopback: bool = True, trusted: ssl.SSLContext | None = None) -> Sent:
    async def sending() -> Sent:
        async with open_client(trusted=trusted) as client:
            message = Message(id="msg_1", url=url, body=b'{"a":1}', secrets=[SECRET])
            return await send(client, message, allow_loopback=allow_loopback)

    return asyncio.run(sending())


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let the name server answer so, one list of addresses after the other; returns the names asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "example.org", "//example.org/", "https://", "https:///x", "",
        "javascript:alert(1)", "file:///etc/passwd", "https://user@example.org/", "https://user:pass@example.org/",
        "https://@example.org/", "https://example.org/#part", "https://example.org:0/", "https://example.org:65536/",
        "https://exa mple.org/", "https://example.org/\n", "https://example.org\\@127.0.0.1/", "https://bücher.example/",
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/",
        "https://0x7f.1/", "https://127.0.0.1./", "https://0/", "https://0.0.0.0/", "https://10.0.0.1/",
        "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/", "https://100.100.100.200/", "https://168.63.129.16/", "https://192.0.0.192/",
        "https://198.18.0.1/", "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/",
        "https://192.0.2.1/", "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/",
        "https://[ff02::1]/", "https://[fec0::1]/", "https://[2001:db8::1]/", "https://[2001:0:7f00:1::]/",
        "https://xn--/", "https://XN--a/", "https://xn--99999999/",
        "https://example.org/" + "x" * 10_000,
    ],
)  # fmt: skip
def test_an_address_that_is_not_a_public_https_one_is_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        check_url(url, allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    ["https://example.org/hook?a=b", "https://example.org:8443/", "https://93.184.216.34/", "https://xn--bcher-kva.example/",
     "https://[2606:2800:220:1:248:1893:25c8:1946]/"],
)  # fmt: skip
def test_a_public_https_address_is_taken(url: str) -> None:
    assert str(check_url(url, allow_loopback=False)) == url


@settings(max_examples=50)
@given(st.text(max_size=80).map(lambda text: "https://" + text) | st.text(max_size=80))
def test_no_text_does_more_harm_than_being_refused(text: str) -> None:
    try:
        url = check_url(text, allow_loopback=False)
    except BadAddress:
        return
    assert url.scheme == "https"
    assert url.host
    assert not url.userinfo


@given(st.integers(0, 2**32 - 1))
def test_a_private_ipv4_address_is_refused_in_each_of_its_ipv6_disguises(number: int) -> None:
    address = ip_address(number)
    if address.is_global:
        return
    for host in (str(address), f"[::ffff:{address}]", f"[64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}]",
                 f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]"):  # fmt: skip
        with pytest.raises(BadAddress):
            check_url(f"https://{host}/", allow_loopback=False)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.0.0.1"], ["93.184.216.34", "169.254.169.254"], ["::1"]])
def test_a_name_that_leads_to_a_private_address_is_not_sent_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    names(monkeypatch, addresses)
    sent = send_once("https://receiver.example/", allow_loopback=False)
    assert (sent.status_code, sent.error) == (None, "The address is not a public one.")


def test_the_connection_goes_to_the_address_that_was_looked_at_though_the_name_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_receiver() as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        asked = names(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
        assert send_once(f"http://receiver.example:{port}").status_code == 200
        assert asked == ["receiver.example"]
        assert receiver.taken[0][0]["Host"] == f"receiver.example:{port}".removesuffix("/hook")
        refused = send_once(f"http://receiver.example:{port}")
        assert (refused.status_code, refused.error) == (None, "The address is not a public one.")
    assert len(receiver.taken) == 1


def test_plain_http_goes_to_this_machine_alone_and_only_when_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_receiver() as receiver:
        assert send_once(receiver.url).status_code == 200
        assert send_once(receiver.url, allow_loopback=False).error == "The address must begin with https://."
    names(monkeypatch, ["93.184.216.34"])
    assert send_once("http://receiver.example/").error == "The address must begin with https://."


def test_a_name_without_an_address_is_a_failure_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert send_once("https://receiver.example/").error == "The name cannot be resolved."


def test_the_signature_is_the_one_of_the_published_library() -> None:
    when = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    ours = signature(SECRET, message_id="msg_1", timestamp=int(when.timestamp()), body=b'{"a":"\xc3\xa4"}')
    assert ours == Verifier(SECRET).sign("msg_1", when, '{"a":"ä"}')


def test_redirects_are_not_followed() -> None:
    with running_receiver() as receiver, running_receiver() as inside:
        receiver.answers, receiver.headers = [307], {"Location": inside.url}
        assert send_once(receiver.url).error == "Redirects are not followed."
        assert inside.taken == []


def drip(taken: socket.socket) -> None:
    taken.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        taken.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.05)


def say_nothing(taken: socket.socket) -> None:
    taken.settimeout(10)
    while taken.recv(65536):
        pass


@pytest.mark.parametrize("answer", [drip, say_nothing])
def test_a_receiver_that_takes_its_time_is_left(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(gateway, "SECONDS_IN_ALL", 0.5)
    with raw_receiver(answer) as url:
        sent = send_once(url)
    assert sent.status_code is None
    assert sent.error is not None
    assert sent.error.startswith("No answer within")


@pytest.mark.parametrize("head", [b"Content-Length: 100000000", b"Content-Length: 3", b"Transfer-Encoding: chunked"])
def test_of_a_huge_or_lying_answer_only_the_head_is_read(head: bytes) -> None:
    sent_bytes = 0

    def flood(taken: socket.socket) -> None:
        nonlocal sent_bytes
        taken.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        while sent_bytes < 100_000_000:
            sent_bytes += taken.send(b"x" * 65536)

    with raw_receiver(flood) as url:
        assert send_once(url).status_code == 200
    assert sent_bytes < 50_000_000


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000]
)
def test_what_is_not_http_is_a_failure_that_is_told(answer: bytes) -> None:
    with raw_receiver(lambda taken: taken.sendall(answer)) as url:
        sent = send_once(url)
    assert sent.status_code is None
    assert sent.error is not None


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for this name, and the context of a client that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = folder / f"{name}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + built.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=pem)


def test_the_certificate_must_be_of_the_name_and_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, "receiver.example")
    names(monkeypatch, ["127.0.0.1"])
    with running_receiver(tls=server) as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        assert send_once(f"https://receiver.example:{port}", trusted=trusted).status_code == 200
        assert send_once(f"https://another.example:{port}", trusted=trusted).error == "No connection."
        assert send_once(f"https://receiver.example:{port}").error == "No connection."
    assert [json.loads(body) for _, body in receiver.taken] == [{"a": 1}]
