"""A grammar of odd answers: documents that were tampered with, and HTTP that is not quite."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

from support.raw_wire import Pieces


class Literal:
    """Text that goes into a document as it is, valid JSON or not."""

    def __init__(self, text: str) -> None:
        self.text = text


LITERALS = (
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "1.5", "1" + "0" * 400),
    *("1" + "0" * 5000, "[" * 3000, "{" * 10, '{"a":' * 3000, "[" * 500 + "]" * 500),
    *("tru", "'x'", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"', "", "//", "0x10", "--5"),
)
VALUES: tuple[Any, ...] = (
    *("--5", "-5", "+5", "5 ", " 5", "5.0", "٣", "²", "1_0", "9" * 18, "9" * 5000, "-", "--", "e"),
    *(-5, -1, 0, 1, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 2**64, 10**18, 1.5, -0.0, 1e300),
    *(None, True, False, [], {}, [[]], [None], [{}], {"a": 1}, {"id": 1}, [1, "x", None, {}, []]),
    *("", " ", ".", "..", "../..", "a/b", "a?b", "a#b", "%2e%2e", "a b", "a\r\nX-Odd: 1", "\x00"),
    *("x" * 300, "x" * 70_000, "\u202eabc", "\U0001f600", "ready", "running", "completed", "lost"),
    *("mailto:x@example.com", "[ns:task.1]", "<script>", "{}", "null", 253402300800, 32503680000),
)
WORDS = (
    *("ready", "loading", "register", "locked", "corrupt-db", "feed-expired", "download-failed"),
    *("error", "empty", "running", "paused", "completed", "canceled", "aborted", "imported"),
)
LOCATIONS = (
    *("mailto:x@example.com", "javascript:alert(1)", "https://xn--/", "//", "///", "http://[::1"),
    *("https://example.com:99999/", "https://" + "x" * 70_000, "/" + "y" * 65_536, "", " ", "\\"),
    *("https://user@/:", "ftp://192.0.2.1/", "https://\x7f/", "http://xn--a/", "?", "data:,x"),
)
LATERS = (
    *("7", "-7", "1e400", "nan", "inf", "1" * 90, "9" * 5000, "soon", "", "1_000", "0x7"),
    *("Mon, 01 Jan 2024 00:00:00 +9999", "Mon, 01 Jan 2024 00:00:00 +99999999999999"),
    *("Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 99 Jan 2024"),
)
ENCODINGS = ("gzip", "deflate", "x-gzip", "br", "zstd", "gzip, gzip", "identity", "GZIP", "?", "")
STATUSES = (
    *(200, 200, 200, 201, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 409, 412),
    *(413, 429, 500, 501, 502, 503, 504, 100, 101, 199, 299, 399, 418, 599, 600, 999),
)


def dump(value: Any) -> bytes:
    """JSON, with literals as they are."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value)


def tampered(document: Any, random: Random) -> Any:
    """The document with one to four changes somewhere in it."""
    found = deepcopy(document)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        found = _changed(found, random)
    return found


def _changed(document: Any, random: Random) -> Any:
    if not isinstance(document, dict | list) or not document or random.random() < 0.03:
        return odd_value(random)
    key = random.choice(list(document) if isinstance(document, dict) else range(len(document)))
    roll = random.random()
    if roll < 0.55:
        document[key] = _changed(document[key], random)
    elif roll < 0.85:
        document[key] = odd_value(random)
    elif roll < 0.92:
        del document[key]
    elif isinstance(document, dict):
        document[random.choice(("id", "uuid", "error", "x" * 1000))] = odd_value(random)
    else:
        document[:] = document * random.choice((2, 50))
    return document


def odd_value(random: Random) -> Any:
    return random.choice(
        (
            lambda: deepcopy(random.choice(VALUES)),
            lambda: deepcopy(random.choice(VALUES)),
            lambda: Literal(random.choice(LITERALS)),
            lambda: random.choice(WORDS),
            lambda: random.randint(-(10**9), 10**12),
            lambda: "".join(
                chr(random.randrange(0x20, 0x3000)) for _ in range(random.randrange(9))
            ),
        )
    )()


def odd_body(document: Any, random: Random) -> bytes:
    roll = random.random()
    if roll < 0.8:
        return dump(tampered(document, random))
    whole = dump(document)
    return random.choice(
        (
            lambda: b"",
            lambda: whole[: random.randrange(len(whole) + 1)],
            lambda: b"<html><title>proxy</title></html>",
            lambda: b"\xff\xfe" + whole,
            lambda: whole.decode().encode("utf-16"),
            lambda: random.randbytes(random.randrange(200)),
            lambda: b"[" * 100_000,
            lambda: b" " * 1000 + whole,
            lambda: b'{"error": "Export is not allowed in trial mode"}',
            lambda: b'{"error": ' + dump(random.choice(VALUES)) + b"}",
            lambda: b"7" * 5000,
        )
    )()


Sender = Callable[[bytes, Random], bytes]


def odd_answer(body: bytes, random: Random) -> Pieces:
    """The body in an answer that is mostly HTTP, in pieces of any size."""
    if random.random() < 0.5:
        return _in_pieces(_framed(200, [], body), random)
    status = random.choice(STATUSES) if random.random() < 0.95 else random.randrange(1000)
    headers = [random.choice(_HEADERS)(random) for _ in range(random.randrange(4))]
    if 300 <= status < 400:
        headers.append(("Location", random.choice(LOCATIONS)))
    encoding = random.choice(ENCODINGS) if random.random() < 0.3 else ""
    if encoding:
        headers.append(("Content-Encoding", encoding))
        body = random.choice(_ENCODERS)(body)
    frame = _framed if random.random() < 0.5 else random.choice(_FRAMES)
    answer = frame(status, headers, body)
    if random.random() < 0.15:
        answer = random.choice(_DAMAGES)(answer, random)
    return _in_pieces(answer, random)


Headers = Sequence[tuple[str, str]]
_HEADERS: tuple[Callable[[Random], tuple[str, str]], ...] = (
    lambda random: ("Retry-After", random.choice(LATERS)),
    lambda random: ("Location", random.choice(LOCATIONS)),
    lambda random: ("Set-Cookie", f"c{random.randrange(10**6)}=" + "v" * random.choice((1, 4000))),
    lambda random: ("Connection", random.choice(("close", "upgrade", "keep-alive", ""))),
    lambda random: ("X-Odd", random.choice(("", "\xff", "é", "x" * 20_000, "a\x00b", "\tx"))),
    lambda _: ("Content-Type", 'text/html; charset="\xff'),
    lambda _: ("Upgrade", "h2c"),
    lambda _: ("Odd name", "x"),
)
_ENCODERS: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress,
    zlib.compress,
    lambda body: zlib.compress(body)[2:-4],
    lambda body: gzip.compress(body)[:-9],
    lambda body: gzip.compress(body + b" " * 2**20),
    lambda body: body,
    lambda _: b"\x1f\x8b",
    lambda _: b"",
)


def _head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status:03} Odd", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"


def _framed(status: int, headers: Headers, body: bytes) -> bytes:
    return _head(status, [*headers, ("Content-Length", str(len(body)))]) + b"\r\n" + body


def _chunks(body: bytes, size: int) -> bytes:
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in cut) + b"0\r\n\r\n"


def _chunked(status: int, headers: Headers, body: bytes) -> bytes:
    head = _head(status, [*headers, ("Transfer-Encoding", "chunked")]) + b"\r\n"
    return head + _chunks(body, 1 if len(body) < 500 else 1000)


def _with_length(length: str) -> Callable[[int, Headers, bytes], bytes]:
    return lambda status, headers, body: (
        _head(status, [*headers, ("Content-Length", length)]) + b"\r\n" + body
    )


_FRAMES: tuple[Callable[[int, Headers, bytes], bytes], ...] = (
    _chunked,
    lambda status, headers, body: _head(status, headers) + b"\r\n" + body,
    *map(_with_length, ("-1", "0", "1", "5", "9" * 30, "abc", "1, 1", "1, 2", "", "+5", "1e3")),
    lambda status, headers, body: b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + _framed(200, [], body),
    lambda status, headers, body: _chunked(status, headers, body)[:-5] + b"zz\r\n",
    lambda status, headers, body: (
        _head(status, [("Transfer-Encoding", "chunked"), ("Content-Length", "3")]) + b"\r\n" + body
    ),
    lambda status, headers, body: (
        _head(status, [("Transfer-Encoding", "gzip, chunked")]) + b"\r\n" + _chunks(body, 100)
    ),
    lambda status, headers, body: (
        _head(status, [(f"X-{number}", "x" * 50) for number in range(3000)]) + b"\r\n" + body
    ),
    lambda status, headers, body: b"HTTP/0.9 200\r\n\r\n" + body,
    lambda status, headers, body: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + body,
    lambda status, headers, body: b"\x15\x03\x01\x00\x02\x02\x28",
    lambda status, headers, body: body,
)
_DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    lambda answer, random: answer[: random.randrange(len(answer) + 1)],
    lambda answer, random: answer + random.randbytes(random.randrange(1, 100)),
    lambda answer, random: answer.replace(b"\r\n", b"\n", random.randrange(1, 9)),
    lambda answer, random: _flipped(answer, random),
    lambda answer, random: answer + answer,
)


def _flipped(answer: bytes, random: Random) -> bytes:
    found = bytearray(answer)
    for _ in range(random.randrange(1, 6)):
        if found:
            found[random.randrange(len(found))] = random.randrange(256)
    return bytes(found)


def _in_pieces(answer: bytes, random: Random) -> Pieces:
    size = random.choice((7, 1000, 65_536, 65_536, 65_536))
    return [answer[at : at + size] for at in range(0, min(len(answer), 200 * size), size)]
