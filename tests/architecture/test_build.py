"""The C extension is optional: the package builds and records where no compiler works."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORD = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import time
import pytest_fluxrun as fluxrun
from pytest_fluxrun import ambient

fluxrun.init(project="p", sample=1.0)

@fluxrun.capture("now")
def now() -> float:
    return time.time()

now()
fluxrun.flush(10)
print(fluxrun.__file__, ambient.is_native())
"""
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "pytest_fluxrun")


def test_wheel_without_a_compiler_records(tmp_path: Path) -> None:
    """With a compiler that fails, the wheel holds no extension, and recording falls back to the pure wrappers."""
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    for built in source.rglob("*.so"):
        built.unlink()
    wheels = tmp_path / "wheels"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(wheels), "."],
        cwd=source,
        env={**os.environ, "CC": "false", "CXX": "false", "LDSHARED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(unpacked)
    assert [] == [name for name in names if name.endswith((".so", ".pyd"))]
    assert "pytest_fluxrun/py.typed" in names
    assets = {f"pytest_fluxrun/report/assets/report.{suffix}" for suffix in ("html", "css", "js")}
    assert assets <= {*names}

    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            RECORD,
        ],
        env={**os.environ, "PYTHONPATH": str(unpacked), "FLUXRUN_DRY_RUN": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{unpacked}/pytest_fluxrun/__init__.py False" == shown.stdout.strip()
    assert "would keep now" in shown.stderr
