"""The corpus of evil inputs: what breaks parsers, databases and habits, by the place of a request where it is put.

Its beginning is what the stock stack answered with 500: cursors, huge numbers, depth, NUL and lone surrogates, repeated
keys, broken percent signs. The rest is what attackers, other people's clients and old proxies are known to send.
"""

from __future__ import annotations

import gzip
import json
from urllib.parse import quote

REAL_LOOKING = "018f2d6e-8e1c-7abc-8def-0123456789ab"

# Put where a text belongs: in the leaves of a body and in the parameters of a query.
TEXTS = [
    "", " ", "\0", "a\0b", "\ufeff", "\u202egnp.exe", "\u2028", "\u200d", "\ufffd", "\uffff", "e\u0301", "İ", "ﬀ", "ß",
    "👩‍👩‍👧‍👦", "𝔘", "ﷺ" * 20, "a\u0300" * 300, "'", "''", '"', "' OR 1=1 --", '"; DROP TABLE orders_order; --', "\\",
    "\\'", "%", "%s%s%n", "%00", "%zz", "{0}", "{{7*7}}", "${jndi:ldap://x}", "<script>alert(1)</script>", "<!--",
    "../../etc/passwd", "/dev/null", "C:\\", "\r\nX-Evil: 1", "\x1b[31m", "\x7f", "\t", "\n", "a" * 256, "a" * 10_000,
    "null", "None", "undefined", "NaN", "Infinity", "true", "TRUE", "-1", "-0", "0", "007", "1.0", "1e5", "1e400",
    "0x10", "1_000", "1,000", " 1", "1 ", "+1", "٣", "９", "Ⅷ", "½", "2147483648", "9223372036854775808",
    "99999999999999999999", "-9223372036854775809", "9" * 5000, "2026-02-30T00:00:00Z", "2026-01-01", "infinity",
    "9999-12-31T23:59:59.999999999Z", "0000-01-01T00:00:00Z", "2026-01-01T00:00:00+25:00", "2026-06-30T23:59:60Z",
    "-4713-01-01T00:00:00Z", "00000000-0000-0000-0000-000000000000", REAL_LOOKING, f"urn:uuid:{REAL_LOOKING}",
    "tok_ok", "4111111111111111", "4111 1111 1111 1111", "4111\u00a01111\u00a01111\u00a01111", "http://127.0.0.1/",
    "https://169.254.169.254/latest", "https://[::1]/", "https://user:secret@shop.example/", "https://xn--/",
    "javascript:alert(1)", "file:///etc/passwd", "https://e\0x", "https://a..b/", "https://shop.example:99999/", "//x",
    "a@b", "@", "a@b@c", '"\r\n"@x.example', f"{'a' * 250}@x.example", '"unclosed', '""', "-", "--", "- - -", "or",
    "or or or", "a or", "!&|()<->:*", "a:*", "<->", "(((((((((", "NOT and", "a b c d e f g h i j k", "DRAFT,ACTIVE",
    "newest ", "__proto__", "constructor", "__class__", "EUR\0", "eur", "XXX", "Bearer x", "admin", "ADMIN",
]  # fmt: skip
# Put where any JSON value belongs: as it is written, since no encoder would write some of them.
RAW = [
    b"null", b"true", b"false", b"0", b"-0", b"-0.0", b"-1", b"1", b"1.5", b"1.0", b"1e2", b"1e-400", b"2147483647",
    b"2147483648", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616",
    b"1000000000001", b"1" + b"0" * 30, b"[]", b"[null]", b"[[[[]]]]", b'[""]', b"[0]", b"{}", b'{"": ""}',
    b'{"a": {"b": {"c": {}}}}', b'{"__proto__": {"x": 1}}', b'{"$ne": null}', b'{"amount": 1}', b'[{"amount": 1}]',
    b"[" + b"0," * 9999 + b"0]", b"[" + b'"x",' * 100 + b'"x"]', b"1e400", b"-1e400",
]  # fmt: skip
# The same, and certain to be malformed, whatever is asked for (400 malformed_request).
RAW_MALFORMED = [
    b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"1.", b"0x10", b"1_0", b"'a'", b"undefined", b"True",
    b"None", b"// x\n1", b"/* x */ 1", b"[1,]", b'{"a":1,}', b'{a:1}', b'"\n"', b'"\t"', b'"\\x41"', b'"\\u12"',
    b'"\\ud800', b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b"9" * 5000,
    b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'{"a":{"b":1,"b":2}}', b"[" * 33 + b"]" * 33,
    b'{"a":' * 33 + b"1" + b"}" * 33,
]  # fmt: skip
# Strings that no row can keep (400 validation_failed).
RAW_UNSTORABLE = [b'"\\u0000"', b'"a\\u0000b"', b'"\\ud800"', b'"\\udfff"', b'"\\udc00\\ud800"', b'{"\\u0000": 1}']

# Fields that no object has.
FIELDS = ["surprise", "", "id", "state ", "is_staff", "seller", "__proto__", "a\0b", "\ud800", "Price", "x" * 5000]

SMALL = b'{"surprise": 1}'
LIMIT = 2**18
# Whole bodies by name: what they are, and the status and code that a door with a JSON body answers; None: any refusal.
BODIES: dict[str, tuple[bytes, tuple[int, str] | None]] = {
    "nothing": (b"", (400, "malformed_request")),
    "a blank": (b" ", (400, "malformed_request")),
    "a brace": (b"{", (400, "malformed_request")),
    "no JSON": (b"title=Bowl&stock=1", (400, "malformed_request")),
    "XML": (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', (400,
    "malformed_request")),
    "a pickle": (b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00}\x94.", (400, "malformed_request")),
    "two values": (b"{}{}", (400, "malformed_request")),
    "a tail": (b"{} x", (400, "malformed_request")),
    "a NUL behind": (b"{}\0", (400, "malformed_request")),
    "a byte order mark": (b"\xef\xbb\xbf{}", (400, "malformed_request")),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), (400, "malformed_request")),
    "UTF-32": ('{"a": 1}'.encode("utf-32"), (400, "malformed_request")),
    "Latin-1": (b'{"surprise": "caf\xe9"}', (400, "malformed_request")),
    "an overlong slash": (b'{"surprise": "\xc0\xaf"}', (400, "malformed_request")),
    "a surrogate in UTF-8": (b'{"surprise": "\xed\xa0\x80"}', (400, "malformed_request")),
    "beyond Unicode": (b'{"surprise": "\xf5\x80\x80\x80"}', (400, "malformed_request")),
    "gzip": (gzip.compress(SMALL, mtime=0), (400, "malformed_request")),
    "a repeated key": (b'{"surprise": 1, "surprise": 1}', (400, "malformed_request")),
    "a repeated key, written otherwise": (b'{"surprise": 1, "\\u0073urprise": 1}', (400, "malformed_request")),
    "a repeated inner key": (b'{"surprise": [{"a": 1, "a": 2}]}', (400, "malformed_request")),
    "a repeated empty key": (b'{"": 1, "": 2}', (400, "malformed_request")),
    "33 levels": (b'{"surprise": ' + b"[" * 32 + b"]" * 32 + b"}", (400, "malformed_request")),
    "33 levels of objects": (b'{"a":' * 33 + b"1" + b"}" * 33, (400, "malformed_request")),
    "100,000 levels": (b"[" * 100_000, (400, "malformed_request")),
    "100,000 levels, closed": (b"[" * 100_000 + b"]" * 100_000, (400, "malformed_request")),
    "40,000 levels of objects": (b'{"a":' * 40_000, (400, "malformed_request")),
    "32 levels": (b'{"surprise": ' + b"[" * 31 + b"]" * 31 + b"}", (400, "validation_failed")),
    "brackets in a string": (b'{"surprise": "' + b"[{" * 500 + b'"}', (400, "validation_failed")),
    "brackets behind a quote": (b'{"surprise": "\\"' + b"[" * 500 + b'"}', (400, "validation_failed")),
    "null": (b"null", (400, "validation_failed")),
    "true": (b"true", (400, "validation_failed")),
    "a number": (b"7", (400, "validation_failed")),
    "a string": (b'"x"', (400, "validation_failed")),
    "a list": (b"[]", (400, "validation_failed")),
    "a list of objects": (b"[{}]", (400, "validation_failed")),
    "an unknown field": (SMALL, (400, "validation_failed")),
    "an unknown field without a name": (b'{"": 1}', (400, "validation_failed")),
    "an unknown field with NUL": (b'{"a\\u0000b": 1}', (400, "validation_failed")),
    "an unknown field that is a surrogate": (b'{"\\udfff": 1}', (400, "validation_failed")),
    "a prototype": (b'{"__proto__": {"is_staff": true}}', (400, "validation_failed")),
    "4000 digits": (b'{"surprise": ' + b"9" * 4000 + b"}", (400, "validation_failed")),
    "1e400": (b'{"surprise": 1e400}', (400, "validation_failed")),
    "a large exponent": (b'{"surprise": 1e999999999}', (400, "validation_failed")),
    "20,000 fields": (json.dumps({str(number): 0 for number in range(20_000)}).encode()[:LIMIT], None),
    "as large as may be": (SMALL + b" " * (LIMIT - len(SMALL)), (400, "validation_failed")),
    "a byte too large": (SMALL + b" " * (LIMIT + 1 - len(SMALL)), (413, "body_too_large")),
    "a megabyte": (b'{"surprise": "' + b"x" * 2**20 + b'"}', (413, "body_too_large")),
}  # fmt: skip
MEDIA = [
    "text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "application/octet-stream", "application/jsonp", "application/json-patch+json",
    "application/merge-patch+json", "application/problem+json", "application/*", "*/*", "json", "x", "/", ";", " ",
    "application/json, text/plain", "application/json; charset=utf-16", "application/json; charset=latin-1",
    "application/json; charset=", "application/json; charset=nonsense", "application/json; version=1",
    "caf\u00e9/json", "a" * 4000,
]  # fmt: skip

METHODS = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "LOCK",
    "QUERY",
    "PURGE", "DEBUG", "TRACK", "get", "Post", "FOO", "GETX", "A" * 500, "__init__", "dispatch",
    "http_method_not_allowed",
    "M-SEARCH", "*", "!#$", "G\x00T", "G\u00e9T",
]  # fmt: skip

# Put in the place of an id, as they stand in the address.
PATHS = [
    "x", "0", "-1", "1", "null", "undefined", "NaN", "true", "*", "~", "@", "%20", "%09", "%00", "%00%00", "%0a",
    "%0d%0aX-Evil:%201",
    "%ff", "%ff%fe", "%c0%af", "%ed%a0%80", "%u0041", "%", "%zz", "%1", "%25", "%2500", "..", ".", "...", "%2e%2e",
    "%2e",
    "..%2f..%2fetc%2fpasswd", "a%2Fb", "a/b", "/", "//", "\\", "..\\..", "%5c", ";", ";x=1", "a;b", "%3f", "%23", ":",
    "'--",
    "'%20OR%201=1", "$%7Bjndi%7D", "%7B%7B7*7%7D%7D", "%3Cscript%3E", "\u00e9", "%C3%A9", "%E2%80%AE", "%F0%9F%92%A9",
    "\u202e", "1" * 5000, "a" * 200, "018f2d6e8e1c7abc8def0123456789ab", "{018f2d6e-8e1c-7abc-8def-0123456789ab}",
    f"urn:uuid:{REAL_LOOKING}", f"{REAL_LOOKING}x", f"x{REAL_LOOKING}", f"%20{REAL_LOOKING}", f"{REAL_LOOKING}%20",
    f"{REAL_LOOKING}%00", f"{REAL_LOOKING}/", f"{REAL_LOOKING}.json", f"{REAL_LOOKING};v=1", REAL_LOOKING,
    REAL_LOOKING.upper(),
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "018f2d6e-8e1c-7abc-8def-0123456789ag",
    "018f2d6e-8e1c-7abc-8def-0123456789\u0661\u0661", "tags", "products", "order", "me", "walnut ", "Walnut",
    "walnut--x", "-",
]  # fmt: skip
# Behind the question mark, as they stand in the address; no list takes any of them.
QUERIES = [
    "surprise=1", "surprise", "surprise[]=1", "%00=1", "%00", "a%00b=1", "%zz=1", "%=1", "%", "x=%", "x=%f", "x=%ff%fe",
    "x=%c0%af", "x=%ed%a0%80", "%ff=1", "x=\u00e9", "\u00e9=1", "limit=%zz", "limit=%00", "limit=1%00",
    "limit=5&limit=6",
    "limit[]=5", "limit=[5]", "limit=5;cursor=x", "limit%00=5", "Limit=5", "_method=DELETE", "format=xml", "callback=x",
    "access_token=x", "__proto__[x]=1", "a" * 8000 + "=1", "x=" + "a" * 8000, "&".join(f"x{n}=1" for n in range(1001)),
    "&".join(["x=1"] * 1001), "x=4111111111111111", "x=" + "%F0%9F%92%A9" * 200,
]  # fmt: skip
HARMLESS_QUERIES = ["", "&", "&&&", "?"]

# By name: values that may be refused or ignored, and must do neither harm nor good.
HEADERS: dict[str, list[str]] = {
    "Accept": [
        "", "*", "/", "*/", ";q=1", "application/json;q=2", "application/json;q=-1", "application/json;q=nan",
        "application/json;q=0", "application/json; indent=4", "text/html", "image/svg+xml", "application/x-nothing",
        "application/json" + ", text/html" * 500, "caf\u00e9/x", "application/json;version=%00", "a" * 5000,
    ],
    "Accept-Encoding": ["", "*", "x", "gzip;q=nan", "br;q=0, gzip;q=0, identity;q=0", "gzip," * 2000, "\u00e9"],
    "Accept-Language": ["", "*", "xx-\u00e9", "de;q=x", "en-" + "a" * 5000, "../../etc"],
    "Accept-Charset": ["utf-16", "\u00e9"],
    "Content-Encoding": ["gzip", "br", "deflate", "identity", "x", "gzip, gzip, gzip"],
    "If-Match": ["", "*", '"', '""', '"x"', 'W/"x"', "W/", "W/*", ",,,", "*, *", "\u00e9", '"9.9"', '"-1.-1"',
        '"' + "9" * 5000 + '"', '"1.1", ' * 400],
    "If-None-Match": ["", "*", '"', '""', '"x"', 'W/"x"', ",,,", "\u00e9", '"' + "x" * 5000 + '"', '"1.1", ' * 400],
    "If-Modified-Since": ["x", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 99 Foo 99999 99:99:99 GMT"],
    "If-Unmodified-Since": ["x", "Thu, 01 Jan 1970 00:00:00 GMT"],
    "If-Range": ['"x"', "x"],
    "Range": ["bytes=0-0", "bytes=-1", "bytes=9-1", "bytes=" + "0-0," * 1000 + "0-0", "x=1", "bytes=\u00e9"],
    "Idempotency-Key": ["", " ", '"', '""', '"a', "\u00e9", "\t", "k" * 256, '"' + "k" * 256 + '"',
        "4111111111111111", "a, b", "\\", "'; --"],
    "X-Request-ID": ["", " ", "\u00e9", "x" * 129, "x" * 5000, "<script>", "a b", '{"a":1}'],
    "traceparent": [
        "", "x", "00-00000000000000000000000000000000-0000000000000000-00", "00-" + "f" * 32 + "-" + "f" * 16 + "-ff",
        "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "G" * 32 + "-" + "b" * 16 + "-01", "\u00e9", "00-" * 2000,
    ],
    "tracestate": ["", "=", "a=" + "b" * 5000, "\u00e9=1", ",,,"],
    "baggage": ["a=%zz", "=", "a=" + "b" * 5000],
    "Origin": ["null", "", "x", "https://evil.example", "https://evil.example, https://b.example", "file://",
        "\u00e9", "http://[::1"],
    "Referer": ["", "\u00e9", "javascript:alert(1)", "http://[::1"],
    "Cookie": ["", "=", ";;;", "sessionid=x", "csrftoken=" + "x" * 5000, "a=\u00e9", 'a="\\000"',
        "sessionid=../../x; sessionid=y"],
    "User-Agent": ["", "\u00e9", "() { :; }; /bin/true", "${jndi:ldap://x}", "x" * 5000],
    "X-Forwarded-For": ["", "x", "127.0.0.1", "::1", "999.999.999.999", ", , ,", "1.2.3.4," * 1000, "\u00e9",
        "127.0.0.1:99999"],
    "X-Forwarded-Host": ["evil.example", "", "\u00e9", "a b"],
    "X-Forwarded-Proto": ["https", "x", "\u00e9"],
    "X-Forwarded-Port": ["99999", "x"],
    "Forwarded": ["for=_x;host=evil.example;proto=https", "for=\u00e9", ";;;"],
    "X-HTTP-Method-Override": ["DELETE", "PATCH", "FOO"],
    "X-Method-Override": ["DELETE"],
    "X-Original-URL": ["/admin/", "/\u00e9"],
    "X-Rewrite-URL": ["/admin/"],
    "Expect": ["100-continue", "200-ok"],
    "Connection": ["Upgrade", "X-Request-ID", "keep-alive, Authorization"],
    "TE": ["trailers", "gzip", "\u00e9"],
    "Trailer": ["Authorization"],
    "Max-Forwards": ["0", "-1", "x"],
    "Via": ["1.1 " + "x" * 5000],
    "Pragma": ["no-cache", "\u00e9"],
    "Cache-Control": ["only-if-cached", "max-age=99999999999999999999", "\u00e9"],
    "Access-Control-Request-Method": ["DELETE", "\u00e9", ""],
    "Access-Control-Request-Headers": ["authorization", "\u00e9", "a," * 1000],
    "Last-Event-ID": ["x", "\u00e9", "-1", "9" * 400],
    "Upgrade": ["h2c", "websocket"],
    "Date": ["x"],
    "DNT": ["\u00e9"],
    "X-Evil": ["\u00e9", "x" * 50_000, "%00", "\x01"],
    "X_Request_ID": ["x"],
    "Content_Length": ["5"],
    "Proxy": ["http://evil.example"],
    "Authorization_": ["Bearer x"],
}  # fmt: skip
OLD_VERSIONS = {'"x"', 'W/"x"', '"9.9"', '"-1.-1"'}
NO_KEYS = {"", " ", '"', '""', '"a', "\u00e9", "k" * 256, '"' + "k" * 256 + '"'}
# In place of a good token: nobody is let in (401 wherever tokens are looked at).
TOKENS = [
    "Bearer", "Bearer ", "Bearer dead", "bearer dead", "BEARER dead", "Bearer  dead", "Bearer dead dead",
    "Bearer dead,", "Bearer \u00e9",
    "Bearer " + "x" * 10_000, "Bearer null", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "Bearer ' OR 1=1 --",
    "Bearer %00",
    "Basic YTpi", "Basic", "Basic \u00e9", "Digest username=x", "Token dead", "nonsense", "Bearer=dead",
    "Bearer:dead", "",
]  # fmt: skip
HOSTS = [
    "",
    "evil.example",
    "127.0.0.1, evil.example",
    "[::1",
    "a b",
    "\u00e9",
    "x:99999",
    "x" * 300,
    "127.0.0.1:x",
    "_",
    "..",
]


def _with(lines: str, body: str = "") -> bytes:
    return f"METHOD ADDRESS HTTP/1.1\r\nHost: HOST\r\n{lines}\r\nConnection: close\r\n\r\n{body}".encode("latin-1")


def _head(line: str) -> bytes:
    return f"{line}\r\nHost: HOST\r\nConnection: close\r\n\r\n".encode("latin-1")


# Whole requests that are no HTTP, or more than one; ADDRESS, HOST and METHOD are put in.
WIRE: dict[str, bytes] = {
    "nothing but line breaks": b"\r\n\r\n\r\n",
    "no version": b"METHOD ADDRESS\r\n\r\n",
    "HTTP/0.9": b"METHOD ADDRESS HTTP/0.9\r\n\r\n",
    "HTTP/1.0 without a host": b"METHOD ADDRESS HTTP/1.0\r\n\r\n",
    "HTTP/1.1 without a host": b"METHOD ADDRESS HTTP/1.1\r\nConnection: close\r\n\r\n",
    "HTTP/2.0": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": _head("METHOD ADDRESS HTTP/9.9"),
    "two hosts": _with("Host: evil.example"),
    "line feeds alone": b"METHOD ADDRESS HTTP/1.1\nHost: HOST\nConnection: close\n\n",
    "a folded header": _with("X-A: b\r\n c"),
    "a space before the colon": _with("X-A : b"),
    "a header without a name": _with(": b"),
    "a header without a colon": _with("nonsense"),
    "a NUL in a header": _with("X-A: a\0b"),
    "a NUL in the address": _head("METHOD ADDRESS\0 HTTP/1.1"),
    "a space in the address": _head("METHOD ADDRESS x HTTP/1.1"),
    "an absolute address": _head("METHOD http://evil.exampleADDRESS HTTP/1.1"),
    "a fragment": _head("METHOD ADDRESS#x HTTP/1.1"),
    "an asterisk": _head("METHOD * HTTP/1.1"),
    "an address of 70 kB": _head(f"METHOD ADDRESS?{'x' * 70_000} HTTP/1.1"),
    "200 headers": _with("X-A: b\r\n" * 199 + "X-A: b"),
    "a negative length": _with("Content-Length: -1"),
    "a length of words": _with("Content-Length: x"),
    "two lengths": _with("Content-Length: 2\r\nContent-Length: 3", "{}x"),
    "a length beyond numbers": _with("Content-Length: 99999999999999999999", "{}"),
    "a body that ends early": _with("Content-Type: application/json\r\nContent-Length: 50", "{}"),
    "chunks and a length": _with("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "chunks without a size": _with("Transfer-Encoding: chunked", "x\r\n{}\r\n0\r\n\r\n"),
    "chunks that end early": _with("Transfer-Encoding: chunked", "5\r\n{}"),
    "a huge chunk": _with("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"),
    "an unknown coding": _with("Transfer-Encoding: x"),
    "a hidden coding": _with("Transfer-Encoding : chunked", "0\r\n\r\n"),
}


def in_query(text: str) -> str:
    """A text as it stands behind `name=`."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
