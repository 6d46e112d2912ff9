"""Nothing at all changes for a project that installs the plugin and doesn't use it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.plugin.kiosk import Kiosk

_OWN = """\
import os, socket, sys, time, warnings

import pytest

def test_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    (tmp_path / "x").write_text("x")

def test_fails(capsys):
    print("printed")
    assert [1, 2] == [1, 3]

@pytest.mark.skip(reason="later")
def test_skipped(): pass

@pytest.mark.xfail
def test_expected(): raise KeyError("k")

def test_warns(): warnings.warn("careful")

@pytest.fixture
def broken(): raise OSError("no")

def test_errors(broken): pass
"""


@pytest.fixture
def kiosk(kiosk: Kiosk) -> Kiosk:
    """What a process has loaded is what these tests are about: each session starts Python."""
    return replace(kiosk, sessions=None)


def test_output_is_the_same_with_and_without(kiosk: Kiosk) -> None:
    """But for the line that lists plugins, every byte of a loud session is the same."""
    kiosk.write("test_own.py", _OWN)
    kiosk.write("pyproject.toml", "")

    used = kiosk.pytest("-vv", "-rA", "--showlocals", "-p", "no:cacheprovider")
    unused = kiosk.python(
        "-m", "pytest", "-vv", "-rA", "--showlocals", "-p", "no:cacheprovider",
        f"--junitxml={kiosk.root.parent / 'junit.xml'}", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )  # fmt: skip

    assert _comparable(unused.stdout) == _comparable(used.output)
    assert unused.returncode == used.exit_code


def test_nothing_is_loaded_or_patched(kiosk: Kiosk) -> None:
    """Three modules of FluxRun, no library, no seam; no hook beyond options, configuration and what hooks there are."""
    kiosk.write(
        "test_own.py",
        "import json, sys, time\n"
        "def test_own(request):\n"
        "    names = sorted(name for name in sys.modules if name.startswith('pytest_fluxrun'))\n"
        "    libraries = {'httpx', 'pydantic', 'cryptography', 'respx', 'time_machine', 'wrapt', 'sqlite3'}\n"
        "    heavy = sorted(libraries & {*sys.modules})\n"
        "    plugin = request.config.pluginmanager.get_plugin('fluxrun')\n"
        "    hooks = sorted(name for name in vars(plugin) if name.startswith('pytest_'))\n"
        "    json.dump([names, heavy, hooks, type(time.time).__name__], open('seen.json', 'w'))\n",
    )

    kiosk.pytest("test_own.py")

    names, heavy, hooks, clock = json.loads((kiosk.root / "seen.json").read_text())
    assert ["pytest_fluxrun", "pytest_fluxrun.plugin", "pytest_fluxrun.plugin.hookspecs"] == names
    assert [] == heavy
    assert ["pytest_addhooks", "pytest_addoption", "pytest_configure"] == hooks
    assert "builtin_function_or_method" == clock


def test_strict_markers_know_the_marks(kiosk: Kiosk) -> None:
    """`--strict-markers` accepts both marks; `--markers` and `--help` describe them."""
    kiosk.write(
        "test_own.py",
        "import pytest\n@pytest.mark.fluxrun('x')\n@pytest.mark.fluxrun_expected_fix\ndef test_own(): pass\n",
    )

    assert {"passed": 1} == kiosk.pytest("--strict-markers", "test_own.py").results
    assert "@pytest.mark.fluxrun(run)" in kiosk.pytest("--markers").output
    assert "--fluxrun-dir=DIR" in kiosk.pytest("--help").output


def _comparable(output: str) -> str:
    """The output without plugins, times and addresses."""
    lines = [line for line in output.splitlines() if not line.startswith("plugins:")]
    return re.sub(r"0x[0-9a-f]+|\d+\.\d+s|=+|/pytest-\d+/|pytest-of-\w+", "", "\n".join(lines))
