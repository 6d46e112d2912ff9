"""The entries' registry: what a bundle may name, and who opens a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_fluxrun import entry as entries
from pytest_fluxrun.context import Lane, entered
from pytest_fluxrun.entries.asgi import entry as asgi
from pytest_fluxrun.entries.function import entry as function
from pytest_fluxrun.entry import (
    Noted,
    end_start_up,
    flush_runs,
    note_error,
    note_route,
    noted,
    open_run,
    register,
    registered,
    registered_entry,
    set_opener,
)
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


class Family(type(function)):
    """An entry whose targets have names of their own."""

    kind = "family"

    def names(self, target: Any) -> tuple[str, ...]:
        return tuple(target)


def test_name_among_those_of_a_target_finds_it():
    """A target of many tasks answers to each; the kind decides where another entry bears the name, too."""
    family = Family()
    register("tasks", family, ("web", "mail"))
    register("web", asgi, "app")

    assert ("mail", family) == (registered_entry("mail").name, registered_entry("mail", "family").entry)
    assert ("web", "mail") == registered_entry("web", "family").target
    assert "app" == registered_entry("web").target == registered_entry("web", "asgi").target
    assert "app" == registered_entry("web", "wsgi").target  # whose kind the stage then refuses
    with pytest.raises(EntryNotFound) as raised:
        registered_entry("mail", "asgi")
    assert "mail, tasks, web" in raised.value.why


def test_name_belongs_to_one_kind_of_entry():
    """Registering again replaces the target (a reload), another kind is refused."""
    register("web", asgi, "first")
    register("web", asgi, "second")
    assert "second" == registered_entry("web").target
    with pytest.raises(SettingsError):
        register("web", function, "third")
    assert "second" == registered_entry("web").target


@pytest.mark.parametrize("first", ["own", "beneath"])
def test_entry_that_gives_way_is_replaced_whichever_comes_first(first: str):
    """What registers itself beneath what the user instruments; without another it counts."""
    for which in (first, "beneath" if first == "own" else "own"):
        if which == "own":
            register("web", asgi, "own")
        else:
            register("web", function, "beneath", gives_way=True)
    register("job", function, "beneath", gives_way=True)
    assert ["own", "beneath"] == [registered_entry(name).target for name in ("web", "job")]


def test_first_route_and_last_error_of_a_run_count():
    """What is said in a preamble or when the run is over is nobody's."""
    session, preamble = Session(), Session(preamble=True)
    last = KeyError("2")
    with entered(Lane(session)):
        note_route("/a")
        note_route("/b")
        note_error(ValueError("1"))
        note_error(last)
    with entered(Lane(preamble)):
        note_route("/c")
    session.closed = True
    with entered(Lane(session)):
        note_route("/d")
    note_error(ValueError("in no run"))

    assert ("/a", last) == (noted(Lane(session)).route, noted(Lane(session)).error)
    assert Noted() == noted(Lane(preamble)) == noted(None)


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


def test_entry_of_a_worker_ends_start_up():
    """Who records is told; where nobody does, nothing happens."""
    ended: list[int] = []
    set_opener(lambda *_: None, start_up_ender=lambda: ended.append(1))
    end_start_up()
    set_opener(None)
    end_start_up()
    assert [1] == ended
