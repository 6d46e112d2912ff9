"""The summary of a session with ten thousand runs: as many lines as one with ten."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_fluxrun.plugin.summary import Summary
from tests.plugin.forking import Forking
from tests.plugin.kiosk import Kiosk


def _report(number: int) -> pytest.TestReport:
    name = f"runs/orders-{number:026d}.fluxrun::replay"
    return pytest.TestReport(name, (name, 0, ""), {}, "failed", "text", "call", duration=number / 1000)


def test_ten_thousand_runs_stay_readable(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Each list shows the first five and how many more there are; no line is longer than 400 characters."""
    for number in range(10_000):
        (tmp_path / f"orders-{number:026d}.guard.toml").touch()
    summary = Summary(pytestconfig, (tmp_path,))
    for number in range(10_000):
        properties = {
            "fluxrun.verdict": "fixed",
            "fluxrun.judged": "failed",
            "fluxrun.start_up": f"httpx GET https://start.example/{number}",
            "fluxrun.drift": f"missing-read boundary{number % 50} 2",
        }
        summary.count(_report(number), properties)

    lines = list(summary.lines())

    assert "fluxrun: 10000 runs: 10000 fixed" == lines[0]
    assert 12 == len(lines)
    assert "fluxrun: start-up differs in 9995 more ways" in lines
    assert any(line.startswith("fluxrun: drift: 400 missing-read boundary0, ") and "45 more" in line for line in lines)
    assert any(line.startswith("fluxrun: slowest: 10.00 s orders-") for line in lines)
    assert 400 > max(map(len, lines))


def test_github_is_told(kiosk: Kiosk, forking: Forking) -> None:
    """In a job: annotations on the entry's line, else on the run's file; the step's summary is added to."""
    kiosk.keep_only("refund", "front")
    kiosk.bundle("refund").write_bytes(b"damaged")
    summary = kiosk.write("step.md", "before\n")
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(kiosk.root.parent)}

    suite = forking.pytest(
        kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm", GITHUB_STEP_SUMMARY=str(summary), **variables
    )

    front, refund = kiosk.bundles("front")[1].stem, kiosk.bundle("refund").name
    where = f"::error file=kiosk/service.py,line=42,title=fluxrun%3A {front} reproduced::"
    assert suite.line("::error file=kiosk/service.py").startswith(f"{where}reproduced: the recorded failure happens")
    assert "%0A  next:" in suite.line(f"::error file=kiosk/runs/{refund},line=1,title=")
    assert summary.read_text().startswith(
        "before\n### FluxRun: not green\n\n3 runs: 1 match, 1 reproduced, 1 unready\n"
    )


def test_github_is_told_nothing_elsewhere(kiosk: Kiosk, forking: Forking) -> None:
    """Outside of a job there are no commands in the log."""
    kiosk.keep_only("refund")

    assert "::error" not in forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm").output
