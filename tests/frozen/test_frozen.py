"""Every released schema's bundles replay with this version, for ever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("v*") if path.is_dir())


def test_there_are_frozen_bundles() -> None:
    """Schema 1 has some."""
    assert "v1" in VERSIONS
    assert 3 == len([*(HERE / "v1" / "runs").glob("*.fluxrun")])


@pytest.mark.parametrize("version", VERSIONS)
def test_frozen_runs_replay_to_their_outcome(version: str, tmp_path: Path) -> None:
    """In a copy of the directory, offline, each run matches."""
    project = tmp_path / version
    shutil.copytree(HERE / version, project)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"CI", "BUILD_NUMBER"}},
        "FLUXRUN_PROJECT_KEY": (project / "key.txt").read_text().strip(),
        "PYTHONPATH": str(HERE.parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--fluxrun-dir=runs", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fluxrun: 3 runs: 3 match" in done.stdout
