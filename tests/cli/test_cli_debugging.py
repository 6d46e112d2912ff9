"""pdb in a replay, at a terminal of its own: prompts, what is typed there, and a person who takes time."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_fluxrun.run import Interaction
from pytest_fluxrun.values import encode

PROMPT = "(Pdb) "
DEADLINE_S = 2.0
LINE_OF_THE_CHECK = 13
RATES = """

class Rates:
    def get(self, currency: str) -> int:
        return 1


rates = fluxrun.host("rates", Rates())
"""
ASKED = {"target": "rates", "method": "get", "args": ["EUR"], "kwargs": {}, "effect": False}
RATE = Interaction("host:rates", "host", 1, 0, 0, 1, encode(ASKED), answer=encode({"value": 2}))


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, command: list[str], **given: Any) -> None:
        self._own, theirs = pty.openpty()
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **given)
        os.close(theirs)

    def until(self, expected: str, within_s: float = 60.0) -> str:
        """What it prints up to a text."""
        end_s, printed = time.monotonic() + within_s, ""
        while expected not in printed:
            piece = self._read(end_s - time.monotonic())
            assert piece, f"no {expected!r} in:\n{printed}"
            printed += piece
        return printed

    def type(self, line: str, expected: str = PROMPT) -> str:
        """Type a line; returns what comes up to a text."""
        os.write(self._own, f"{line}\n".encode())
        return self.until(expected)

    def is_silent(self, for_s: float) -> bool:
        """Whether it prints nothing, and lives, for as long."""
        return not self._read(for_s) and self.process.poll() is None

    def ends(self) -> tuple[int, str]:
        """Its exit code, and the rest of what it prints."""
        printed = ""
        while piece := self._read(30.0):
            printed += piece
        return self.process.wait(30), printed

    def close(self) -> None:
        """End it, if it hasn't."""
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    def _read(self, within_s: float) -> str:
        ready, _, _ = select.select([self._own], [], [], max(0.0, within_s))
        try:
            return os.read(self._own, 65536).decode(errors="replace") if ready else ""
        except OSError:  # Linux says so where nobody holds the other side any more
            return ""


@pytest.fixture
def terminal(shop: Any) -> Iterator[Callable[..., Terminal]]:
    """Start Python at a terminal, in the project's directory, with nothing of readline's or pytest's plugins."""
    opened: list[Terminal] = []
    kept = os.environ | {"TERM": "dumb", "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "120"}

    def terminal(*arguments: str) -> Terminal:
        environment = {**kept, "FLUXRUN_TIMEOUT_S": f"{DEADLINE_S:g}"}
        opened.append(Terminal([sys.executable, "-m", *arguments], cwd=shop.root, env=environment))
        return opened[-1]

    yield terminal
    for each in opened:
        each.close()


def test_breakpoints_and_the_error_are_examined_without_haste(shop: Any, terminal: Callable[..., Terminal]) -> None:
    """The deadline passes while a person reads; at the error a live connection is refused; then comes the verdict."""
    application = shop.root / "pricing.py"
    application.write_text(
        application.read_text().replace("    if amount < 0:", "    breakpoint()\n    if amount < 0:")
    )
    run = shop.function_run()
    shop.store(run)

    at = terminal("pytest_fluxrun", "replay", run.id, "--pdb")
    stopped = at.until(PROMPT)
    silent = at.is_silent(DEADLINE_S + 0.7)
    told = at.type("p amount")
    listed = at.type("list")
    error = at.type("c")
    local = at.type("p amount")
    refused = at.type("import socket; socket.create_connection(('127.0.0.1', 9))")
    verdict = at.type("q", "rerun:   pytest --fluxrun-dir=runs")
    code, _ = at.ends()

    assert "pricing.py" in stopped
    assert silent
    assert ["-1", "-1"] == [text.splitlines()[1].strip() for text in (told, local)]
    assert "raise ValueError" in listed
    assert "the app raised ValueError: negative amount -1" in error
    assert "LeakedCall" in refused
    assert (1, True) == (code, "reproduced: the recorded failure happens again" in verdict)


def test_pytest_stops_before_the_run_and_where_the_error_was_raised(
    shop: Any, terminal: Callable[..., Terminal]
) -> None:
    """--trace, a breakpoint that is set there, --pdb."""
    shop.store(shop.function_run())
    options = ("-p", "pytest_fluxrun.plugin", "-p", "no:cacheprovider", "--fluxrun-no-confirm", "--pdb", "--trace")

    at = terminal("pytest", *options, "--fluxrun-dir=runs")
    at.until(PROMPT)
    at.type(f"b pricing.py:{LINE_OF_THE_CHECK}")
    silent = at.is_silent(DEADLINE_S + 0.7)
    reached = at.type("c")
    silent &= at.is_silent(DEADLINE_S + 0.7)
    raised = at.type("c")
    told = at.type("p amount")
    at.type("q", "reproduced")
    code, rest = at.ends()

    assert silent
    assert f"pricing.py({LINE_OF_THE_CHECK})price()" in reached
    assert "entering PDB" in raised
    assert "pricing.py(14)price()" in raised
    assert "-1" == told.splitlines()[1].strip()
    assert 2 == code, rest
    assert "deadline" not in rest


def test_trace_prints_each_call_with_its_answer(shop: Any) -> None:
    """Its number, the call, what came back; then the verdict as ever."""
    application = shop.root / "pricing.py"
    told = 'raise ValueError(f"negative amount {amount}")'
    application.write_text(application.read_text().replace(told, f"rates.get('EUR')\n        {told}") + RATES)
    shop.store(shop.function_run(interactions=[RATE]))

    run = next((shop.root / "runs").glob("*.fluxrun")).name
    command = [sys.executable, "-m", "pytest_fluxrun", "replay", run, "--trace"]
    done = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=False, timeout=60)

    assert 1 == done.returncode, done.stderr
    assert ["1/1  rates.get('EUR')", '     → {"value":2}', "", "reproduced: the recorded failure happens again"] == (
        done.stdout.splitlines()[:4]
    )
