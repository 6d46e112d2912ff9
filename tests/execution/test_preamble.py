"""Which preambles count as alike, and how a start-up's differences are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_fluxrun.columns import pack
from pytest_fluxrun.execution.preamble import content_of
from pytest_fluxrun.run import Interaction, LaneSpec, Read, Recording, Segment

DATE = ["Date", "Mon, 01 Jan 2024 00:00:00 GMT"]


def answered(body: str = "3", *, date: list[str] = DATE, at_ns: int = 5, url: str = "http://rates/rate") -> Interaction:
    """An HTTP call of start-up."""
    asked = {"method": "GET", "url": url, "headers": [["user-agent", "a"]], "body": "", "streamed": False}
    answer = {"status": 200, "headers": [date], "chunks": [body], "times_ns": [at_ns], "ended_ns": at_ns, "end": "eof"}
    return Interaction("httpx", "http", 1, 0, at_ns, at_ns, asked, answer)


def preamble(*interactions: Interaction, draws: Any = (1,), times: Any = (1,), **reads: str) -> Recording:
    segment = Segment(
        0, -1, (Read("os.urandom", "main|x|y", pack(list(draws))), Read("time.time", "main|x|y", pack(list(times))))
    )
    environment = {"environment": {name: [value] for name, value in reads.items()}}
    return Recording(1, 1, 1, 1, (LaneSpec((), ()),), interactions, (segment,), environment)


SAME = preamble(answered(), MODE="a")


@pytest.mark.parametrize(
    "other",
    [
        preamble(answered(at_ns=99), MODE="a"),
        preamble(answered(date=["date", "Tue, 02 Jan 2024 00:00:00 GMT"]), MODE="a"),
        preamble(answered(), times=(7, 8), MODE="a"),
        replace(SAME, wall_ns=2, mono_ns=3, duration_ns=4),
    ],
    ids=["durations", "date-header", "clock", "when"],
)
def test_times_make_no_other_start_up(other: Recording) -> None:
    """When it was, and how long it took, is the same start-up."""
    assert content_of(SAME, ()) == content_of(other, ())


@pytest.mark.parametrize(
    "other",
    [
        preamble(answered("5"), MODE="a"),
        preamble(answered(url="http://rates/other"), MODE="a"),
        preamble(answered(), answered(), MODE="a"),
        preamble(answered(), MODE="b"),
        preamble(answered(), draws=(2,), MODE="a"),
        preamble(),
    ],
    ids=["answer", "call", "more-calls", "variable", "randomness", "nothing"],
)
def test_what_the_app_was_started_from_makes_another_start_up(other: Recording) -> None:
    """Each would leave the app in another state."""
    assert content_of(SAME, ()) != content_of(other, ())


def test_the_order_of_calls_makes_no_other_start_up() -> None:
    """Calls made at once come in any order."""
    one, other = answered(), answered("5", url="http://rates/fee")
    assert content_of(preamble(one, other), ()) == content_of(preamble(other, one), ())


def test_redaction_tokens_make_no_other_start_up() -> None:
    """They are drawn anew for each run; the secret behind them is unknown, and matching takes any."""
    one, other = preamble(answered(), KEY="tok1tok1tok1"), preamble(answered(), KEY="tok2tok2tok2")
    assert content_of(one, ("tok1tok1tok1",)) == content_of(other, ("tok2tok2tok2",))
    assert content_of(one, ()) != content_of(other, ())
