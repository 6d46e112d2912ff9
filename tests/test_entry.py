"""The entries' registry: what a bundle may name, and who opens a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_fluxrun import entry as entries
from pytest_fluxrun.context import Lane, entered
from pytest_fluxrun.entries.asgi import entry as asgi
from pytest_fluxrun.entries.function import entry as function
from pytest_fluxrun.entry import flush_runs, open_run, register, registered, registered_entry, set_opener
from pytest_fluxrun.errors import EntryNotFound, SettingsError


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(entries, "_registered", {})
    with entered(None):
        yield
    set_opener(None)


class Session:
    def __init__(self, *, preamble: bool = False, closed: bool = False, clock: Any = None) -> None:
        self.preamble, self.closed, self.clock = preamble, closed, clock

    def ambient_for(self, lane: Lane) -> None:
        return None


def test_only_what_is_registered_can_be_driven():
    """No name from a bundle is imported; the error lists what there is."""
    register("web", asgi, object)
    with pytest.raises(EntryNotFound) as raised:
        registered_entry("os.system")
    assert "web" in raised.value.why
    assert ["web"] == [one.name for one in registered()]


def test_name_belongs_to_one_kind_of_entry():
    """Registering again replaces the target (a reload), another kind is refused."""
    register("web", asgi, "first")
    register("web", asgi, "second")
    assert "second" == registered_entry("web").target
    with pytest.raises(SettingsError):
        register("web", function, "third")
    assert "second" == registered_entry("web").target


@pytest.mark.parametrize(
    ("session", "opens"),
    [
        (None, True),
        (Session(preamble=True), True),
        (Session(preamble=True, closed=True), True),
        (Session(), False),
        (Session(closed=True), True),
        (Session(clock=object()), False),
        (Session(clock=object(), preamble=True), False),
        (Session(clock=object(), closed=True), False),
    ],
)
def test_run_is_opened_outside_of_runs_and_replays_only(session: Any, opens: bool):
    """Preambles and runs that are over are no runs under way; a replay records nothing."""
    opened: list[str] = []
    set_opener(lambda name, _: opened.append(name))
    with entered(None if session is None else Lane(session)):
        open_run("web", asgi)
    assert (["web"] if opens else []) == opened


def test_without_a_recorder_there_is_no_run():
    """And nothing to flush."""
    set_opener(None)
    assert open_run("web", asgi) is None
    flush_runs()


def test_flush_asks_the_recorder():
    """Entries that learn of their process's end can have it stored."""
    flushed: list[int] = []
    set_opener(lambda *_: None, lambda: flushed.append(1))
    flush_runs()
    assert [1] == flushed
