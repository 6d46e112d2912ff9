"""eventlet is refused by name: runs of a process that it has patched are unready, and none is replayed there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("eventlet", reason="eventlet, which is deprecated and refused, isn't among the test dependencies")

_REPOSITORY = Path(__file__).parents[2]
_CODE = """
import logging, warnings
logging.basicConfig(level="WARNING", format="%(message)s")
warnings.simplefilter("ignore")
from pytest_fluxrun import registry
registry.install_seams()
import eventlet
print(registry.unrecordable(), bool(registry.unreplayable()))
eventlet.monkey_patch(socket=True)
print(registry.unrecordable(), registry.unreplayable(), registry.broken_boundaries())
"""


def test_patching_is_refused_and_mere_import_is_not():
    """The log says so at once; the host goes on."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE], cwd=_REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": str(_REPOSITORY), "PATH": ""},
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    imported, patched = done.stdout.splitlines()
    assert "() False" == imported
    assert "('eventlet',) eventlet has patched socket: its green threads carry no context ()" == patched
    assert 1 == done.stderr.count("FluxRun doesn't support eventlet")
