"""When a run is driven once more with recorded digests, and which of two replays counts."""

from __future__ import annotations

from dataclasses import replace

from pytest_fluxrun.execution.digests import recorded_digests, unlike
from pytest_fluxrun.execution.evidence import Evidence

RECORDED, MADE, TOKEN = "5e" * 20, "0d" * 20, "fx0123456789"


def shown(recorded: str, got: str) -> Evidence:
    """Of a page."""
    return Evidence(
        {"response": {"status": 200, "body": recorded}},
        {"response": {"status": 200, "body": got}},
        tokens=(TOKEN,),
        derived=(MADE,),
    )


def test_page_that_shows_digests_alone_is_driven_once() -> None:
    """The comparison leaves their places out; a token there is nothing new either."""
    assert {} == recorded_digests(shown(f"/join/{RECORDED}", f"/join/{MADE}"))
    assert {} == recorded_digests(shown(f"{TOKEN} /join/{RECORDED}", f"another 1234 /join/{MADE}"))
    assert {} == recorded_digests(shown("the same", "the same"))


def test_page_that_shows_more_of_them_is_driven_again() -> None:
    """With what the recorded page says."""
    assert {MADE: RECORDED} == recorded_digests(shown(f"#### /join/{RECORDED}", f"## /join/{MADE}"))
    assert {} == recorded_digests(replace(shown(f"#### /join/{RECORDED}", f"## /join/{MADE}"), derived=()))


def test_replay_with_fewer_differences_counts() -> None:
    """One that went another way counts least."""
    faithful, other = shown(f"# {RECORDED}", f"# {RECORDED}"), shown(f"# {RECORDED}", f"## {RECORDED}")

    assert 0 == unlike(faithful) < unlike(other) < unlike(replace(faithful, unrecorded="a call"))
    assert unlike(replace(faithful, leaks=("a socket",))) == unlike(replace(faithful, deadline="10 s")) > 1
