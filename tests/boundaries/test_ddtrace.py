"""Datadog's tracer, in a process of its own: importing it patches much, and its pytest plugin slows everything down.

So it isn't among the test dependencies: `pip install --target DIR ddtrace`, then DDTRACE_TARGET=DIR runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.plugin.telemetry_kiosk import collecting

TARGET = os.environ.get("DDTRACE_TARGET", "")
pytestmark = pytest.mark.skipif(
    not TARGET and find_spec("ddtrace") is None,
    reason="ddtrace isn't installed: its pytest plugin slows every test; DDTRACE_TARGET names a directory that has it",
)

PROGRAM = """\
import os, sys
sys.path.append(os.environ.get("DDTRACE_TARGET") or sys.path[-1])
from pytest_fluxrun import config, patching, registry, telemetry
from pytest_fluxrun.context import Lane, entered
config.use_settings(config.Settings())
registry.install_seams()
if sys.argv[1] == "replay":
    telemetry.drop_from_now_on()

import httpx
from ddtrace.trace import tracer
import ddtrace
ddtrace.patch(httpx=True)
with tracer.trace("work"):
    pass
tracer.flush()
print("broken:", registry.broken_boundaries())
print("displaced:", patching.displaced())
print("listed:", telemetry.take_dropped())
"""


def told(mode: str, collector_url: str) -> dict[str, str]:
    """What the program printed, by word."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DD_TRACE_AGENT_URL": collector_url,
            "DD_REMOTE_CONFIGURATION_ENABLED": "true",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def test_traces_are_sent_where_nothing_replays() -> None:
    """The agent gets the trace, and no seam counts as displaced."""
    with collecting() as agent:
        found = told("record", agent.url)
        paths = agent.taken()

    assert {"broken": "()", "displaced": "()", "listed": "()"} == found
    assert any("traces" in path for path in paths), paths


def test_process_that_replays_sends_nothing() -> None:
    """Neither traces nor the tracer's telemetry of itself, not at exit either; each is listed."""
    with collecting() as agent:
        found = told("replay", agent.url)
        paths = agent.taken()

    assert {} == paths
    assert f"ddtrace trace to {agent.url}" in found["listed"]
    assert ("()", "()") == (found["broken"], found["displaced"])
