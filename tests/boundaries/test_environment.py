"""os.environ in a run: read once for the record, served in the replay."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import pytest

from pytest_fluxrun.boundaries.environment import boundary
from pytest_fluxrun.config import load_settings
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


def test_a_sweep_by_the_standard_library_is_no_read_of_the_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """For proxies urllib looks at every variable, and finds those that are set; the app's own sweep is recorded."""
    monkeypatch.setenv("SHOP_MODE", "live")
    monkeypatch.setenv("ftp_proxy", "http://proxy.example")
    with seams(boundary, os):
        with recorded() as swept:
            proxies = urllib.request.getproxies_environment()
        with recorded() as read_by_the_app:
            own = dict(os.environ.items())
        monkeypatch.setenv("SHOP_MODE", "laptop")
        with session(Replayer(read_by_the_app)):
            served = dict(os.environ.items())

    assert proxies["ftp"] == "http://proxy.example"
    assert "SHOP_MODE" not in swept.reads["environment"]
    assert own == served
    assert served["SHOP_MODE"] == "live"


def test_fluxruns_own_settings_are_no_read_of_the_apps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are found also where a variable is set at replay that the recorded program asked for in vain."""
    with seams(boundary, os):
        with recorded() as record:
            absent = os.environ.get("SHOP_MODE")
        monkeypatch.setenv("SHOP_MODE", "laptop")
        monkeypatch.setenv("FLUXRUN_PROJECT", "shop")
        with session(Replayer(record)):
            settings = load_settings({}, environ=os.environ, start_dir=tmp_path)
            still_absent = os.environ.get("SHOP_MODE")

    assert (None, None, "shop") == (absent, still_absent, settings.project)


def test_names_that_a_sweep_found_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings libraries look for their variables among all names: those of the recording, none of this machine."""
    monkeypatch.setenv("SHOP_MODE", "live")
    with seams(boundary, os):
        with recorded() as record:
            first = {name.lower(): value for name, value in os.environ.items()}
        monkeypatch.delenv("SHOP_MODE")
        monkeypatch.setenv("SHOP_DEBUG", "laptop")
        with session(Replayer(record)):
            again = {name.lower(): value for name, value in os.environ.items()}
            copied = dict(os.environ)

    assert first == again
    assert "live" == copied["SHOP_MODE"]
    assert "SHOP_DEBUG" not in copied
