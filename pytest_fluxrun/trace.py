"""Trace context of what invoked a run: ids by which runs of several services belong together. Pure; validated, no text.

W3C Trace Context level 1 (`traceparent`), request and correlation ids, AWS X-Ray's root id, and task ids.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["TRACE_FIELDS", "active_span", "trace_of", "traces_meant", "valid_ids"]

_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._:=+/\-]{5,127}"
TRACE_FIELDS: Final = {
    "trace_id": r"(?!0{32})[0-9a-f]{32}",
    "parent_id": r"(?!0{16})[0-9a-f]{16}",
    "request_id": _ID,
    "correlation_id": _ID,
    "amzn_trace_id": r"1-[0-9a-f]{8}-[0-9a-f]{24}",
    "task_id": _ID,
}
"""The ids that an index may hold, each with what it must match whole."""
_HEADERS: Final = {
    "traceparent": "traceparent",
    "x-request-id": "request_id",
    "x-correlation-id": "correlation_id",
    "x-amzn-trace-id": "amzn_trace_id",
}
_VALID: Final = {field: re.compile(pattern) for field, pattern in TRACE_FIELDS.items()}
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)
_PREFIX: Final = re.compile(r"[0-9a-f]{8,32}")
_ROOT: Final = re.compile(r"(?:^|;)\s*Root=([^;]*)")


def trace_of(headers: Iterable[tuple[str | bytes, str | bytes]], span: Any = None) -> dict[str, str]:
    """The ids in a request's headers; a header that is there twice, or isn't as it should be, counts as absent.

    Args:
        headers: (name, value) pairs, in any case; bytes are Latin-1.
        span: what `active_span` gave in the run, for a request that carried no `traceparent`.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in headers:
        field = _HEADERS.get(_text(name).lower())
        if field is not None:
            found[field].append(_text(value).strip())
    once = {field: values[0] for field, values in found.items() if len(values) == 1}
    parent = _TRACEPARENT.fullmatch(once.pop("traceparent", ""))
    if parent is not None and (parent[1] != "00" or not parent[4]):
        once |= {"trace_id": parent[2], "parent_id": parent[3]}
    root = _ROOT.search(once.pop("amzn_trace_id", ""))
    if root is not None:
        once["amzn_trace_id"] = root[1]
    ids = valid_ids(once)
    if "trace_id" not in ids and span is not None:
        ids |= valid_ids({"trace_id": f"{span.trace_id:032x}"})
    return ids


def valid_ids(ids: Mapping[str, str]) -> dict[str, str]:
    """Those of the ids that an index may hold."""
    return {field: value for field, value in ids.items() if field in _VALID and _VALID[field].fullmatch(value)}


def active_span() -> Any:
    """The context of the OpenTelemetry span that the running code is in, or None; never imports OpenTelemetry."""
    module = sys.modules.get("opentelemetry.trace")
    if module is None:
        return None
    try:
        context = module.get_current_span().get_span_context()
    except Exception:  # another version, or a half-imported one; it's an id less in the index
        return None
    return context if context.is_valid else None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def traces_meant(wanted: str, known: Iterable[Mapping[str, str]]) -> set[str]:
    """The ids that a user means by one: itself where a run has it, else the trace ids that begin so.

    Args:
        wanted: a trace id or at least eight hex digits of its beginning, a whole `traceparent`, a request or task id.
        known: the ids of each run.
    """
    parent = _TRACEPARENT.fullmatch(wanted)
    wanted = parent[2] if parent else wanted
    every = [*known]
    if any(wanted in ids.values() for ids in every):
        return {wanted}
    if not _PREFIX.fullmatch(wanted.lower()):
        return set()
    return {ids["trace_id"] for ids in every if ids.get("trace_id", "").startswith(wanted.lower())}
