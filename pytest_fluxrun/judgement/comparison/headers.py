"""Response headers as they are compared: all that an application says, without what is of the transport. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pytest_fluxrun.judgement.comparison.content import media_type, parameters
from pytest_fluxrun.judgement.comparison.difference import ABSENT, OutcomeDifference, differing, under
from pytest_fluxrun.judgement.comparison.trees import trees
from pytest_fluxrun.values import decode

__all__ = ["TRANSPORT_HEADERS", "header_differences", "joined_headers"]

TRANSPORT_HEADERS: Final = frozenset(
    {"connection", "date", "keep-alive", "proxy-connection", "server", "server-timing", "te",
     "traceparent", "tracestate", "traceresponse", "trailer", "transfer-encoding", "upgrade", "via", "x-process-time",
     "x-response-time", "x-runtime"}
)  # fmt: skip
"""Headers that say how a response travelled, what served it and for how long: never compared."""

_SETS = frozenset({"allow", "vary", "cache-control"})
_SET_PREFIX = "access-control-"
_COOKIE: Final = "set-cookie"
_LENGTH: Final = "content-length"


def header_differences(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two responses' headers by name, then their cookies by name and attribute."""
    before, after = _by_name(recorded["headers"]), _by_name(replayed["headers"])
    for name in sorted((before.keys() | after.keys()) - TRANSPORT_HEADERS - {_COOKIE}):
        expected, got = before.get(name), after.get(name)
        if name == _LENGTH and (recorded["body"] != replayed["body"] or _is_length_of(got, replayed)):
            continue  # it follows from the body, whose difference has been told, is ignored, or is that of redaction
        if expected != got:
            yield differing(
                under("response.headers", name),
                ABSENT if expected is None else ", ".join(expected),
                ABSENT if got is None else ", ".join(got),
            )
    yield from trees("response.cookies", _cookies(before.get(_COOKIE, [])), _cookies(after.get(_COOKIE, [])))


def _is_length_of(lengths: list[str] | None, response: Any) -> bool:
    body = decode(response["body"])
    return lengths == [str(len(body.encode() if isinstance(body, str) else body))]


def joined_headers(response: Any) -> dict[str, str]:
    """A response's headers by lower-case name; those sent more than once are joined by a comma, in order."""
    return {name: ", ".join(values) for name, values in _by_name(response["headers"]).items()}


def _by_name(headers: Iterable[Iterable[str]]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, value in headers:
        by_name.setdefault(name.lower(), []).append(value.strip())
    for name, values in by_name.items():
        if name in _SETS or name.startswith(_SET_PREFIX):
            by_name[name] = sorted(part.strip() for value in values for part in value.split(","))
        elif name == "content-type":
            by_name[name] = [_content_type(value) for value in values]
    return by_name


def _content_type(value: str) -> str:
    """A content type in one spelling, without the boundary of its parts, which says nothing."""
    kind, said = media_type(value), parameters(value)
    if kind.startswith("multipart/"):
        said.pop("boundary", None)
    said |= {"charset": said["charset"].lower()} if "charset" in said else {}
    return "; ".join([kind, *(f"{name}={said[name]}" for name in sorted(said))])


def _cookies(values: Iterable[str]) -> dict[str, Any]:
    """Cookies by name (RFC 6265), attributes beside the value; of one that is set again, a list in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for value in values:
        name, cookie = _cookie(value)
        found.setdefault(name, []).append(cookie)
    return {name: cookies[0] if len(cookies) == 1 else cookies for name, cookies in found.items()}


def _cookie(text: str) -> tuple[str, dict[str, Any]]:
    pair, *attributes = text.split(";")
    name, _, value = pair.partition("=")
    cookie: dict[str, Any] = {"value": value.strip()}
    for attribute in attributes:
        key, given, said = attribute.partition("=")
        key, said = key.strip().lower(), said.strip()
        if key:
            cookie[key] = (said.lower() if key in ("samesite", "domain") else said) if given else True
    return name.strip(), cookie
