"""The kind mail: how mails that are handed to a server, and what leads to that, are compared and shown. Pure; no I/O.

A mail is `{"command": "send", "from", "to": [address, ...], "message": bytes (RFC 5322), "options": [str, ...]}`.
All else that a server is asked is `{"command": "connect" | "ehlo" | "rset" | ..., "argument"}`, never with credentials.
Folded are the order of recipients, line ends, how parts are encoded for transport, MIME boundaries, the process id in a
Message-Id, and headers that carry a trace.
"""

from __future__ import annotations

import email.errors
import email.parser
import email.policy
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from email.header import decode_header, make_header
from email.message import Message
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.kinds.structure import ABSENT, named_scalars, structural_differences

__all__ = ["MAIL", "Mail"]

_MAX_TEXT: Final = 200
_CACHED_SIZE: Final = 65_536
_GREETINGS: Final = frozenset({"ehlo", "helo", "lhlo"})
"""Their argument is what this machine is called."""
_UPKEEP: Final = frozenset({"quit", "rset", "noop"})
_FOLDED_HEADERS: Final = frozenset({"traceparent", "tracestate", "baggage", "sentry-trace", "mime-version"})
_OF_A_PART: Final = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})
_PROCESS_ID: Final = re.compile(r"<(\d+)\.\d+\.(\d+[.@])")
"""What `email.utils.make_msgid` puts between the time and a random number (CPython 3.11 to 3.14, Django 5)."""


class Mail(Kind):
    """Mails over SMTP and LMTP."""

    name: ClassVar[str] = "mail"

    def canonical(self, request: Request) -> str:
        """Equal for mails of the same envelope, headers and decoded parts; of all else by command and argument."""
        if not _is_mail(request):
            return f"{request['command']} {_argument(request)}"
        envelope = json.dumps([request["from"], sorted(request["to"]), sorted(request.get("options", ()))])
        return f"send {envelope} {_digest(bytes(request['message']))}"

    def operation(self, request: Request) -> str:
        """`send`, or the command with what it asks about."""
        return "send" if _is_mail(request) else f"{request['command']} {_argument(request)}".rstrip()

    def shape(self, request: Request) -> str:
        """The command alone."""
        return str(request["command"])

    def is_effect(self, request: Request) -> bool:
        """A mail is one; what a server is asked before isn't."""
        return _is_mail(request)

    def is_upkeep(self, request: Request) -> bool:
        """What ends a conversation, or a mail that came to nothing."""
        return request["command"] in _UPKEEP

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """The envelope, the subject, the other headers, then the parts, each by its place."""
        if not (_is_mail(recorded) and _is_mail(asked)):
            old, new = (
                {"command": form["command"], "argument": ABSENT if _is_mail(form) else _argument(form)}
                for form in (recorded, asked)
            )
            return list(structural_differences("request", old, new))
        return list(structural_differences("request", _readable(recorded), _readable(asked)))

    def text(self, request: Request) -> str:
        """`send "Welcome" from shop@example.org to ann@example.org`, at most 200 characters."""
        if _is_mail(request):
            subject = str(_parsed(bytes(request["message"])).get("subject", ""))
            text = (
                f"send {json.dumps(subject, ensure_ascii=False)} from {request['from']} to {', '.join(request['to'])}"
            )
        else:
            text = f"{request['command']} {request.get('argument', '')}"
        text = " ".join(text.split())
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """A mail's headers, and the JSON keys (dotted) in parts that are JSON."""
        del answer
        if not _is_mail(request):
            return
        readable = _parsed(bytes(request["message"]))
        if "subject" in readable:
            yield "subject", readable["subject"]
        yield from named_scalars(readable["headers"])
        for part in readable["parts"]:
            if part["type"] == "application/json" and isinstance(part["content"], str):
                try:
                    yield from named_scalars(json.loads(part["content"]))
                except (ValueError, RecursionError):
                    continue


MAIL = Mail()


def _is_mail(request: Request) -> bool:
    return bool(request["command"] == "send")


def _argument(request: Request) -> str:
    return "" if request["command"] in _GREETINGS else str(request.get("argument", ""))


def _readable(request: Request) -> dict[str, Any]:
    """A mail as people see it."""
    envelope: dict[str, Any] = {"from": request["from"], "to": sorted(request["to"])}
    if request.get("options"):
        envelope["options"] = sorted(request["options"])
    return {"command": "send", **envelope, **_parsed(bytes(request["message"]))}


def _digest(message: bytes) -> str:
    return (_cached_digest if len(message) <= _CACHED_SIZE else _fold)(message)


def _fold(message: bytes) -> str:
    content = json.dumps(_parsed(message), sort_keys=True, default=lambda part: part.hex())
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


_cached_digest = functools.lru_cache(maxsize=256)(_fold)


def _parsed(message: bytes) -> dict[str, Any]:
    """Subject, headers by lower-cased name, and parts: `{"type", "content"}` of each leaf, in order."""
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n") + b"\n"
    parsed = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(lines)
    headers: dict[str, Any] = {}
    for name, value in parsed.items():
        key = name.lower()
        if key not in _FOLDED_HEADERS and key not in _OF_A_PART:
            text = _PROCESS_ID.sub(r"<\1.\2", _decoded(value))
            headers[key] = f"{headers[key]}\n{text}" if key in headers else text
    found: dict[str, Any] = {"subject": headers.pop("subject")} if "subject" in headers else {}
    return {**found, "headers": headers, "parts": list(_parts(parsed, ""))}


def _parts(message: Message, within: str) -> Iterator[dict[str, Any]]:
    if message.is_multipart():
        inner = f"{within}{message.get_content_type()}/"
        for below in message.get_payload():
            if isinstance(below, Message):
                yield from _parts(below, inner)
        return
    part: dict[str, Any] = {"type": message.get_content_type()}
    if within:
        part["within"] = within.rstrip("/")
    disposition = message.get_content_disposition()
    if disposition:
        part["disposition"] = disposition
    try:
        name = message.get_filename()
    except (ValueError, LookupError):
        name = None
    if name:
        part["filename"] = name
    if message.get("content-id"):
        part["id"] = str(message["content-id"])
    yield {**part, "content": _content(message)}


def _content(part: Message) -> str | bytes:
    """Text decoded where the part says how, else bytes."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(payload).encode("utf-8", "surrogateescape")
    if part.get_content_maintype() != "text" and part.get_content_type() != "application/json":
        return data
    try:
        return data.decode(part.get_content_charset("utf-8"))
    except (UnicodeDecodeError, LookupError):
        return data


def _decoded(value: Any) -> str:
    """A header's text, its folding undone."""
    text = " ".join(str(value).split())
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return text
