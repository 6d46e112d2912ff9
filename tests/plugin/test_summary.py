"""The summary of a session with ten thousand runs: as many lines as one with ten."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_fluxrun.plugin.summary import Summary


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
