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


def test_template_and_hook_name_what_there_is() -> None:
    """The GitLab template has its three jobs, the hook its command."""
    assert {"fluxrun", "fluxrun-baseline", "fluxrun-compared"} == set(_read("examples/ci/gitlab.yml"))
    (hook,) = _read(".pre-commit-hooks.yaml")
    assert ("fluxrun-guards", "fluxrun guards") == (hook["id"], hook["entry"])
