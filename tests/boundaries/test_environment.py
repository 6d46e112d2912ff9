"""os.environ in a run: read once for the record, served in the replay."""

from __future__ import annotations

import os

import pytest

from pytest_fluxrun.boundaries.environment import boundary
from tests.boundaries.sessions import Replayer, recorded, seams, session


def read() -> list[object]:
    """Every way of reading."""
    with pytest.raises(KeyError, match="SHOP_ABSENT"):
        os.environ["SHOP_ABSENT"]
    present = [os.environ["SHOP_MODE"], os.environ.get("SHOP_MODE"), os.getenv("SHOP_MODE"), "SHOP_MODE" in os.environ]
    return [*present, "SHOP_ABSENT" in os.environ, os.environ.get("SHOP_ABSENT", "fallback")]


def test_variables_are_served_as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Present and absent ones, whatever the machine of the replay has."""
    with seams(boundary, os):
        monkeypatch.setenv("SHOP_MODE", "live")
        with recorded() as record:
            first = read()
        monkeypatch.setenv("SHOP_MODE", "laptop")
        monkeypatch.setenv("SHOP_ABSENT", "laptop")
        with session(Replayer(record)):
            second = read()
        outside = os.environ["SHOP_MODE"]

    assert first == ["live", "live", "live", True, False, "fallback"]
    assert second == first
    assert outside == "laptop"


def test_a_variable_that_changes_is_served_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, then the last again; a name that was never read is live."""
    monkeypatch.setenv("SHOP_MODE", "a")
    monkeypatch.setenv("SHOP_OTHER", "live")
    with seams(boundary, os):
        with recorded() as record:
            values = [os.environ["SHOP_MODE"]]
            os.environ["SHOP_MODE"] = "b"
            values.append(os.environ["SHOP_MODE"])
        with session(Replayer(record)):
            served = [os.environ["SHOP_MODE"] for _ in range(3)]
            other = os.environ["SHOP_OTHER"]

    assert (values, served, other) == (["a", "b"], ["a", "b", "b"], "live")
