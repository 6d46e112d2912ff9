"""A run's request as one curl command for a POSIX shell. Pure.

It may be pasted into a terminal: all but printable text is in escapes, so that nothing of a request steers it.
"""

from __future__ import annotations

import base64
import re
import shlex
from typing import Final

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.exchanges import Request, incoming
from pytest_fluxrun.run import Run

__all__ = ["curl_command"]

_CURLS_OWN: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})
"""curl makes these itself: of the URL, of the body, of the connection."""
_SCHEMES: Final = ("http", "https", "ws", "wss")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method, or a header's name (RFC 9110, 5.6.2); curl takes a name that begins with `@` for a file to read."""
_IN_NO_VALUE: Final = re.compile(r"[\r\n\0]")
_IN_NO_URL: Final = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_ARGUMENT: Final = 100_000
"""Bytes; Linux takes 128 KiB for one."""
_OPTION: Final = " \\\n  "


def curl_command(run: Run) -> str:
    """The request that invoked a run, to be sent again: to where it went, with the headers and the body that it had.

    A body that isn't printable text, or is long, comes base64-encoded through a pipe.

    Raises:
        FluxRunError: something else than a request invoked it, or HTTP has no such request.
    """
    request = incoming(run)
    _refuse_impossible(request)
    options = ["curl", *_method(request), *_url(request.url)]
    options += [f"--header {_word(header)}" for header in _sent(request)]
    if any(name.lower() == "accept-encoding" for name, _ in request.headers):
        options.append("--compressed")
    text = _as_text(request.body)
    if text:
        options.append(f"--data-raw {shlex.quote(text)}")
    elif request.body:
        options.append("--data-binary @-")
    piped = ""
    if request.body and not text:
        piped = f"printf %s {shlex.quote(base64.b64encode(request.body).decode())} | base64 -d | "
    return f"{piped}{_OPTION.join(options)}\n"


def _refuse_impossible(request: Request) -> None:
    """Refuse what no server takes from a client, and curl would take for something else."""
    scheme = request.url.partition(":")[0]
    odd = [] if scheme in _SCHEMES else [f"the scheme {scheme!r}"]
    odd += [] if _TOKEN.fullmatch(request.method) else [f"the method {request.method!r}"]
    for name, value in request.headers:
        odd += [] if _TOKEN.fullmatch(name) and not _IN_NO_VALUE.search(value) else [f"the header {name!r}"]
    if odd:
        raise FluxRunError(
            "the request can't be sent again by curl",
            why=f"{odd[0]} is none that HTTP has",
            next_step="export it with --as har, or keep the run as a guard: `fluxrun expect RUN`",
        )


def _method(request: Request) -> list[str]:
    return ["--head"] if request.method == "HEAD" else [f"--request {_word(request.method)}"]


def _url(url: str) -> list[str]:
    globbing = ["--globoff"] if any(character in url for character in "[]{}") else []
    escaped = _IN_NO_URL.sub(lambda found: f"%{ord(found[0]):02X}", url)
    return [*globbing, "--path-as-is", f"--url {_word(escaped)}"]


def _word(text: str) -> str:
    """A word of the command that gives the recorded bytes, which entries keep as ISO 8859-1.

    Printable UTF-8 stands as it is, everything else is in octal.
    """
    try:
        sent = text.encode("latin-1")
    except UnicodeEncodeError:
        sent = text.encode("utf-8", "surrogatepass")
    try:
        readable = sent.decode()
    except UnicodeDecodeError:
        readable = "\0"
    if readable.isprintable():
        return shlex.quote(readable)
    told = "".join(chr(byte) if chr(byte).isalnum() and byte < 0x80 else f"\\{byte:03o}" for byte in sent)
    return f"\"$(printf '{told}')\""


def _sent(request: Request) -> list[str]:
    """The headers for curl: `name;` sends an empty one, `name:` leaves out what it would send."""
    kept = [(name, value) for name, value in request.headers if name.lower() not in _CURLS_OWN]
    sent = [f"{name}: {value}" if value else f"{name};" for name, value in kept]
    own = ("user-agent", "accept", *(("content-type",) if request.body else ()))
    present = {name.lower() for name, _ in kept}
    return [*sent, *(f"{name}:" for name in own if name not in present)]


def _as_text(body: bytes) -> str:
    """The body as an argument; "" where it can't be one, or shouldn't."""
    try:
        text = body.decode() if len(body) <= _LONGEST_ARGUMENT else ""
    except UnicodeDecodeError:
        return ""
    return text if text.translate({ord("\n"): None, ord("\t"): None}).isprintable() else ""
