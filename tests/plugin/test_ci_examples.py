"""What examples/ci holds for copying: it parses, and the action's script runs a project's guards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plugin.kiosk import Kiosk

_ROOT = Path(__file__).parents[2]


def _read(name: str) -> Any:
    return yaml.safe_load((_ROOT / name).read_text())


@pytest.mark.parametrize(("required", "code"), [("2", 0), ("3", 1)])
def test_action_runs_the_gate(kiosk: Kiosk, required: str, code: int) -> None:
    """The script of the composite action, with the inputs that a workflow gives."""
    action = _read("examples/ci/github/action.yml")
    step = action["runs"]["steps"][0]
    kiosk.keep_only("quote")
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_dir = runs\n")
    command = kiosk.write("bin/fluxrun", f'#!/bin/sh\nexec {sys.executable} -m pytest_fluxrun "$@"\n')
    command.chmod(0o755)
    given = {"COMMAND": f"{sys.executable} -m pytest -p fluxrun", "REQUIRE": required, "LOCKED": "error"}
    unset = {"FLUXRUN_PROJECT_KEY": "", "FLUXRUN_STORE": ""}
    environment = kiosk.environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **given, **unset)
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"

    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], cwd=kiosk.root, env=environment, capture_output=True, text=True, check=False
    )

    assert set(step["env"]) == {*given, *unset}
    assert code == done.returncode, done.stdout + done.stderr
    assert f"gate: {'red' if code else 'green'}: 2 runs: 2 match; required: {required}" in done.stdout


@pytest.mark.parametrize("lost", [False, True])
def test_shards_are_judged_together(kiosk: Kiosk, *, lost: bool) -> None:
    """The scripts of the sharded workflow: each guard in one shard, all of them green; a lost shard is red."""
    jobs = _read("examples/ci/github/sharded.yml")["jobs"]
    replay, judge = (next(step for step in jobs[job]["steps"] if "name" in step) for job in ("replay", "gate"))
    shards = jobs["replay"]["strategy"]["matrix"]["shard"]
    kiosk.keep_only("front", "quote", "refund")
    paths = [kiosk.guard(entry, expect="recorded") for entry in ("front", "quote", "refund")]
    guards = sorted(path.name.removesuffix(".guard.toml") for path in paths)
    kiosk.write("runs/guards.txt", "".join(f"{line}\n" for line in ("# ours", *guards)))
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_dir = runs\nfluxrun_require = all\naddopts = -p fluxrun\n")
    kiosk.write("bin/fluxrun", f'#!/bin/sh\nexec {sys.executable} -m pytest_fluxrun "$@"\n').chmod(0o755)
    kiosk.write("bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n').chmod(0o755)

    def run(step: Any, shard: int) -> subprocess.CompletedProcess[str]:
        given = {"SHARD": str(shard), "SHARDS": str(len(shards)), "CI": "true"}
        environment = kiosk.environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **given)
        environment["PATH"] = f"{kiosk.root / 'bin'}:{environment['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=kiosk.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    replayed = [run(replay, shard) for shard in shards[lost:]]
    judged = run(judge, 0)

    assert [0] * len(replayed) == [done.returncode for done in replayed], replayed[0].stdout
    assert lost == judged.returncode, judged.stdout + judged.stderr
    assert f"{3 - lost} runs: {3 - lost} match; required: all; {3 - lost} reports\n" in judged.stdout
    assert lost == (f"were not replayed: {guards[0]}" in judged.stdout)


def test_template_and_hook_name_what_there_is() -> None:
    """The GitLab template has its three jobs, the hook its command."""
    assert {"fluxrun", "fluxrun-baseline", "fluxrun-compared"} == set(_read("examples/ci/gitlab.yml"))
    (hook,) = _read(".pre-commit-hooks.yaml")
    assert ("fluxrun-guards", "fluxrun guards") == (hook["id"], hook["entry"])
