"""Telemetry: run in no lane, listed and not sent in a process that replays, and addresses as the setting gives them."""

from __future__ import annotations

import pytest

from pytest_fluxrun import telemetry
from pytest_fluxrun.context import APART, Lane, current_lane, entered
from tests.conftest import LaneOwner


@pytest.fixture(autouse=True)
def _sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hasn't replayed yet, whatever ran before."""
    monkeypatch.setattr(telemetry, "_ledger", None)


def test_nothing_is_dropped_before_a_process_replays() -> None:
    """Asking lists nothing and holds nothing back."""
    assert (False, False, ()) == (telemetry.drop("a span"), telemetry.dropping(), telemetry.take_dropped())


def test_everything_is_dropped_and_listed_from_then_on() -> None:
    """Each text once, with how often; asking empties the list, and the process stays as it is."""
    telemetry.drop_from_now_on()

    dropped = [telemetry.drop(text) for text in ("a span", "an event", "a span")]

    assert [True] * 3 == dropped
    assert ("a span ×2", "an event") == telemetry.take_dropped()
    assert () == telemetry.take_dropped()
    telemetry.drop_from_now_on()
    assert telemetry.dropping()


def test_list_is_bounded_and_counts_what_it_has_no_room_to_name() -> None:
    """An instrument that names something new each time fills no memory, and none of what it sent is lost."""
    telemetry.drop_from_now_on()

    for number in range(1000):
        telemetry.drop(str(number))
    telemetry.drop("0")
    listed = telemetry.take_dropped()

    assert ("0 ×2", "1", "199", "more, of other sorts ×800") == (*listed[:2], *listed[-2:])
    assert 201 == len(listed)
    assert () == telemetry.take_dropped()


def test_droppable_calls_on_until_a_process_replays() -> None:
    """Before: the original, run apart, and what is to be sent isn't even looked at. After: listed, and not called."""
    asked = []

    def export(*spans: str, limit: int = 0) -> object:
        return spans, limit, current_lane()

    def sent(*spans: str, **_: int) -> str:
        asked.append(spans)
        return f"export of {len(spans)}"

    seam = telemetry.droppable(sent, lambda: "success")(export)
    before = seam("a", "b", limit=1)
    telemetry.drop_from_now_on()
    after = seam("a", "b", limit=1)

    assert ((("a", "b"), 1, APART), "success") == (before, after)
    assert ([("a", "b")], ("export of 2",)) == (asked, telemetry.take_dropped())


def test_droppable_calls_what_sends_nothing_also_at_replay() -> None:
    """A call without a text, e.g. of an exporter to the console, is made and not listed."""
    telemetry.drop_from_now_on()

    assert "shown" == telemetry.droppable(lambda: "")(lambda: "shown")()
    assert () == telemetry.take_dropped()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://collector:4318/v1/traces?key=secret", "http://collector:4318/v1/traces"),
        ("https://user:p@ss@collector", "https://collector"),
        ("https://collector/?next=https://other", "https://collector/"),
        ("user:secret@collector:4317?key=secret", "collector:4317"),
        ("unix:///var/run/agent.sock", "unix:///var/run/agent.sock"),
        ("its agent", "its agent"),
    ],
)
def test_address_holds_no_secret(url: str, address: str) -> None:
    """User, password and query of a URL aren't shown."""
    assert address == telemetry.address_of(url)


def test_apart_runs_in_no_run_s_lane() -> None:
    """Within a run, what is apart is in the lane of nobody; the run's lane is back afterwards, also after an error."""
    lane = Lane(LaneOwner())

    def fail() -> None:
        assert current_lane() is APART
        raise ValueError

    with entered(lane):
        seen = telemetry.apart(current_lane)()
        with pytest.raises(ValueError):
            telemetry.apart(fail)()
        after = current_lane()

    assert (APART, lane) == (seen, after)


@pytest.mark.parametrize(
    ("url", "is_listed"),
    [
        ("udp://127.0.0.1:8125", True),
        ("udp://127.0.0.1:81250", False),
        ("https://collector.example/v1/traces", True),
        ("https://collector.example.evil/v1", False),
        ("https://collectorxexample/v1", False),
        ("", False),
    ],
)
def test_addresses_are_compared_whole(url: str, is_listed: bool) -> None:
    """`*` is anything; all else, dots included, is itself."""
    addresses = telemetry.Addresses(["udp://127.0.0.1:8125", "https://collector.example/*"])

    assert is_listed is (url in addresses)


def test_no_address_is_listed_by_default() -> None:
    """An empty setting lists nothing, not everything."""
    assert (False, False) == (bool(telemetry.Addresses([])), "" in telemetry.Addresses([]))
