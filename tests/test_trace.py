"""Trace context: which ids count, and which are dropped because an index holds no free text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.trace import trace_of, traces_meant

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROOT = "1-67891233-abcdef012345678912345678"


def test_ids_are_taken_from_the_headers_that_carry_them() -> None:
    """Names in any case, bytes or text."""
    headers: list[Any] = [
        (b"TraceParent", f"00-{TRACE}-{PARENT}-01".encode()),
        ("x-request-id", " 7b3c2a1e-5d6f "),
        (b"X-Correlation-ID", b"batch:42/a=b"),
        (b"X-Amzn-Trace-Id", f"Self=1-0;Root={ROOT};Sampled=1".encode()),
        (b"cookie", b"a=b"),
    ]
    assert {
        "trace_id": TRACE,
        "parent_id": PARENT,
        "request_id": "7b3c2a1e-5d6f",
        "correlation_id": "batch:42/a=b",
        "amzn_trace_id": ROOT,
    } == trace_of(headers)


@pytest.mark.parametrize(
    "value",
    [
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        "",
    ],
)
def test_an_invalid_traceparent_counts_as_absent(value: str) -> None:
    """W3C Trace Context 3.2.2; a later version may say more behind the flags."""
    assert {} == trace_of([("traceparent", value)])


def test_a_later_version_of_traceparent_is_read() -> None:
    """Its first four parts are those of version 00."""
    assert TRACE == trace_of([("traceparent", f"01-{TRACE}-{PARENT}-01-more")])["trace_id"]


@pytest.mark.parametrize(
    "value",
    ["alice@shop.example", "two words", "short", "é" * 8, "x" * 129, "<script>", "-leading", "line\nbreak", "\x00" * 8],
)
def test_a_request_id_that_could_be_free_text_is_dropped(value: str) -> None:
    """Not cut, not changed."""
    assert {} == trace_of([("x-request-id", value), ("x-correlation-id", value), ("x-amzn-trace-id", f"Root={value}")])


def test_a_header_sent_twice_counts_as_absent() -> None:
    """Nobody knows which one counts."""
    twice = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("Traceparent", f"00-{TRACE[::-1]}-{PARENT}-01")]
    assert {} == trace_of([*twice, ("x-request-id", "request-1"), ("x-request-id", "request-2")])


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (TRACE, {TRACE}),
        (TRACE[:8], {TRACE}),
        (TRACE[:12].upper(), {TRACE}),
        (f"00-{TRACE}-{PARENT}-01", {TRACE}),
        ("request-1", {"request-1"}),
        (PARENT, {PARENT}),
        (TRACE[:7], set()),
        ("request-", set()),
        ("abcdabcd", {"abcdabcd" + "1" * 24, "abcdabcd" + "2" * 24}),
    ],
)
def test_an_id_is_found_whole_or_a_trace_id_by_its_beginning(wanted: str, meant: set[str]) -> None:
    """At least eight digits; several are for the caller to refuse."""
    known = [
        {"trace_id": TRACE, "parent_id": PARENT},
        {"request_id": "request-1"},
        {},
        {"trace_id": "abcdabcd" + "1" * 24},
        {"trace_id": "abcdabcd" + "2" * 24},
    ]
    assert meant == traces_meant(wanted, known)


def test_opentelemetry_is_asked_only_where_it_is_loaded() -> None:
    """A span that the app began names the trace of a request that came without one; nothing imports OpenTelemetry."""
    program = (
        "import sys\n"
        "from pytest_fluxrun.trace import active_span, trace_of\n"
        "assert active_span() is None and 'opentelemetry' not in sys.modules\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "assert active_span() is None\n"
        "with TracerProvider().get_tracer('app').start_as_current_span('request') as span:\n"
        "    seen = active_span()\n"
        "assert trace_of((), seen) == {'trace_id': f'{span.get_span_context().trace_id:032x}'}\n"
        f"assert trace_of([('traceparent', '00-{TRACE}-{PARENT}-01')], seen)['trace_id'] == '{TRACE}'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "" == done.stderr
    assert 0 == done.returncode
