"""Pauses of recorded programs, and of what became of them: real runs under real pytest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugin.kiosk import Kiosk
from tests.plugin.orders import copied
from tests.plugin.recorded import recorded_kiosk

_SERVICE = """\
import asyncio, sqlite3, threading, time
import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")

FIRST_S = 0.02
FROM_ELSEWHERE = [time.sleep]


def attempt(number):
    with sqlite3.connect(":memory:") as database:
        return database.execute("select ?", (number,)).fetchone()[0] > 1


@fluxrun.capture("send")
def send():
    for number in range(3):
        if attempt(number):
            return number
        time.sleep(FIRST_S * 2**number)


@fluxrun.capture("poll")
async def poll():
    async def wait():
        await asyncio.sleep(0.03)
        return attempt(2)

    await asyncio.sleep(0)
    waiting = asyncio.create_task(wait())
    while not waiting.done():
        await asyncio.sleep(0.004)
    return await waiting
"""
_RECORD = """\
import asyncio, service
service.send()
asyncio.run(service.poll())
assert service.fluxrun.flush(20)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Kiosk:
    """A run that backs off twice, and one that polls."""
    return recorded_kiosk(tmp_path_factory.mktemp("recorded"), _SERVICE, "", _RECORD)


@pytest.fixture
def pausing(recorded: Kiosk, tmp_path: Path) -> Kiosk:
    """A copy of it."""
    return copied(recorded, tmp_path)


def test_unchanged_program_has_no_drift_even_where_all_fails(pausing: Kiosk) -> None:
    """Also where a poll's number of pauses depends on how fast the other task is."""
    for _ in range(3):
        session = pausing.replay("--fluxrun-strict")
        assert {"passed": 2} == session.results, session.output


def test_moved_and_renamed_pauses_are_no_drift(pausing: Kiosk) -> None:
    """A helper of another name, with another expression, pauses as long."""
    pausing.edit("service.py", "        time.sleep(FIRST_S * 2**number)\n", "        back_off(FIRST_S, number)\n")
    pausing.edit(
        "service.py", "def attempt(", "def back_off(first, times):\n    time.sleep(first << times)\n\n\ndef attempt("
    )
    pausing.edit("service.py", "first << times", "first * (1 << times)")

    session = pausing.replay("--fluxrun-strict")

    assert {"passed": 2} == session.results, session.output


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("        time.sleep(FIRST_S * 2**number)\n", "", "time.sleep(FIRST_S * 2**number): 0.02 s, 0.04 s → none"),
        ("2**number", "(1 + number)", ""),
        ("2**number", "3**number", "time.sleep(FIRST_S * 2**number): 0.04 s → 0.06 s"),
        ("await asyncio.sleep(0.03)", "asyncio.sleep(0.03).close()", "await asyncio.sleep(0.03): 0.03 s → none"),
    ],
)
def test_dropped_and_changed_back_off_is_noted(pausing: Kiosk, before: str, after: str, told: str) -> None:
    """The outcome is the recorded one; the project may say that it fails all the same."""
    pausing.edit("service.py", before, after)

    noted = pausing.replay()
    failing = pausing.replay("-o", "fluxrun_fail_on=changed-pause")

    assert {"passed": 2} == noted.results
    if not told:
        assert {"passed": 2} == failing.results
        return
    function = re.search(r"(time|asyncio)\.sleep", told)
    assert f"fluxrun: drift: 1 changed-pause {function and function[0]}()" == noted.line("fluxrun: drift: ")
    (failed,) = (case for case in failing.cases.values() if case.result == "failed")
    assert "changed-pause" == failed.properties["fluxrun.reason"]
    assert told in failed.properties["fluxrun.first_divergence"]
    assert failed.text.splitlines()[0].endswith(told), "no call is where it differs"
    assert "--kind changed-pause` allows it in the guard" in failed.text
