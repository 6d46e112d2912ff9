"""A run's request as one curl command for a POSIX shell. Pure."""

from __future__ import annotations

import base64
import shlex
from typing import Final

from pytest_fluxrun.export.exchanges import Request, incoming
from pytest_fluxrun.run import Run

__all__ = ["curl_command"]

_CURLS_OWN: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"}
)
"""curl makes these itself: of the URL, of the body, of the connection."""
_OPTION: Final = " \\\n  "


def curl_command(run: Run) -> str:
    """The request that invoked a run, to be sent again: to where it went, with the headers and the body that it had.

    A body that isn't text comes base64-encoded through a pipe.

    Raises:
        FluxRunError: something else than a request invoked it.
    """
    request = incoming(run)
    options = ["curl", *_method(request), *_url(request.url)]
    options += [f"--header {shlex.quote(header)}" for header in _sent(request)]
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


def _method(request: Request) -> list[str]:
    return ["--head"] if request.method == "HEAD" else [f"--request {shlex.quote(request.method)}"]


def _url(url: str) -> list[str]:
    globbing = ["--globoff"] if any(character in url for character in "[]{}") else []
    return [*globbing, "--path-as-is", f"--url {shlex.quote(url)}"]


def _sent(request: Request) -> list[str]:
    """The headers for curl: `name;` sends an empty one, `name:` leaves out what it would send."""
    kept = [(name, value) for name, value in request.headers if name.lower() not in _CURLS_OWN]
    sent = [f"{name}: {value}" if value else f"{name};" for name, value in kept]
    own = ("user-agent", "accept", *(("content-type",) if request.body else ()))
    present = {name.lower() for name, _ in kept}
    return [*sent, *(f"{name}:" for name in own if name not in present)]


def _as_text(body: bytes) -> str:
    """The body as an argument; "" where it can't be one."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text
