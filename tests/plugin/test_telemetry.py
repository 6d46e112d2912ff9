"""Telemetry of an app: sent while it is recorded, part of no run, and never sent by a process that replays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugin.kiosk import SETTINGS, Kiosk, Suite, Upstream, upstream_server
from tests.plugin.recorded import recorded_kiosk
from tests.plugin.telemetry_kiosk import BARE, RECORD, SERVICE, Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Live throughout, so that what a replay sends would be counted."""
    with collecting() as found:
        yield found


@pytest.fixture
def rates() -> Iterator[Upstream]:
    """The upstream of what is recorded."""
    with upstream_server() as found:
        yield found


@pytest.fixture
def record(tmp_path: Path, collector: Collector, rates: Upstream) -> Callable[..., Kiosk]:
    """Records the instrumented service for real."""

    def recorded(*entries: str, service: str = SERVICE, settings: str = SETTINGS, **variables: str) -> Kiosk:
        return recorded_kiosk(
            tmp_path, service, settings, RECORD, ",".join(entries),
            UPSTREAM=rates.url, COLLECTOR=collector.url, **variables,
        )  # fmt: skip

    return recorded


def replayed(kiosk: Kiosk, rates: Upstream, collector: Collector, **variables: str) -> Suite:
    """The runs, replayed with what passes shown too."""
    return kiosk.replay("-rA", UPSTREAM=rates.url, COLLECTOR=collector.url, **variables)


@pytest.mark.parametrize("first", ["", "1"], ids=["seams-first", "instruments-first"])
def test_instrumented_app_replays_and_sends_nothing(
    record: Callable[..., Kiosk], rates: Upstream, collector: Collector, first: str
) -> None:
    """Whichever was installed first: no seam counts as displaced, ids come out as recorded, collectors hear nothing."""
    kiosk = record(TELEMETRY_FIRST=first)
    sent = collector.taken()
    hits = rates.hits

    suite = replayed(kiosk, rates, collector, TELEMETRY_FIRST=first)

    assert {"/simple", "/batch", "/api/1/envelope/"} == sent.keys()
    assert {"passed": 2} == suite.results, suite.output
    assert {} == collector.taken()
    assert hits == rates.hits


def test_telemetry_is_no_part_of_a_run(record: Callable[..., Kiosk], collector: Collector) -> None:
    """What exporters send from the calling thread, and from threads that a run started, isn't among its calls."""
    kiosk = record()

    shown = kiosk.python("-m", "pytest_fluxrun", "show", kiosk.bundle("quote").stem[-26:]).stdout

    assert 1 == shown.count("GET http") == shown.count("POST http"), shown
    assert "127.0.0.1" in shown
    assert collector.url not in shown


def test_what_was_dropped_is_listed(record: Callable[..., Kiosk], rates: Upstream, collector: Collector) -> None:
    """In the report of a run that passes, with the address and how often; a batch is listed where it was filled."""
    kiosk = record()

    suite = replayed(kiosk, rates, collector)

    listed = [line.strip() for line in suite.lines if line.startswith("telemetry dropped:")]
    assert f"telemetry dropped: opentelemetry OTLP export to {collector.url}/simple ×2" in listed
    assert f"telemetry dropped: opentelemetry OTLP export to {collector.url}/batch ×2" in listed
    assert f"telemetry dropped: sentry event to {collector.url.replace('public@', '')}" in listed


def test_run_replays_without_its_instruments(
    record: Callable[..., Kiosk], rates: Upstream, collector: Collector
) -> None:
    """The ids that instruments drew were recorded; without the instruments they are passed over, uuids are equal."""
    kiosk = record()
    kiosk.keep_only("quote")
    collector.taken()
    kiosk.write("service.py", BARE)

    suite = replayed(kiosk, rates, collector)

    assert {"passed": 1} == suite.results, suite.output


def test_run_replays_with_instruments_that_it_was_recorded_without(
    record: Callable[..., Kiosk], rates: Upstream, collector: Collector
) -> None:
    """New spans draw ids of their own, which moves nobody else's."""
    kiosk = record("quote", service=BARE)
    kiosk.write("service.py", SERVICE)

    suite = replayed(kiosk, rates, collector)

    assert {"passed": 1} == suite.results, suite.output
    assert {} == collector.taken()


def test_listed_addresses_are_telemetry(record: Callable[..., Kiosk], rates: Upstream, collector: Collector) -> None:
    """A listed URL and a listed UDP address: not recorded, not sent at replay, listed; the code gets a 202."""
    listed = f'telemetry = ["udp://{collector.statsd}", "{rates.url}/told"]\n'
    kiosk = record("quote", service=BARE, settings=SETTINGS + listed, STATSD=collector.statsd)
    sent, hits = collector.datagrams(), rates.hits

    shown = kiosk.python("-m", "pytest_fluxrun", "show", kiosk.bundle("quote").stem[-26:]).stdout
    suite = replayed(kiosk, rates, collector, STATSD=collector.statsd)

    assert [b"quotes:1|c"] * 2 == sent
    assert "/rate" in shown
    assert "/told" not in shown
    assert {"passed": 1} == suite.results, suite.output
    assert f"telemetry dropped: httpx POST {rates.url}/told, listed in the setting telemetry" in suite.lines
    assert f"telemetry dropped: datagram to udp://{collector.statsd}" in suite.lines
    assert "telemetry dropped: datagram through a connected socket" in suite.lines
    assert ([], hits) == (collector.datagrams(), rates.hits)


def test_unlisted_datagram_is_blocked_by_name(
    record: Callable[..., Kiosk], rates: Upstream, collector: Collector
) -> None:
    """What no setting lists is a live side effect."""
    kiosk = record("quote", service=BARE, STATSD=collector.statsd)
    collector.datagrams()

    suite = replayed(kiosk, rates, collector, STATSD=collector.statsd)

    assert ("failed", "leaked") == (suite.case("quote").result, suite.case("quote").verdict)
    assert f"socket.sendto to {collector.statsd}" in suite.case("quote").text or (
        f"socket.sendto {collector.statsd}" in suite.case("quote").text
    )
    assert [] == collector.datagrams()
