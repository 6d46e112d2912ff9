"""`fluxrun check` on pytest's configuration: where pytest would run, and be green, without the plugin."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pytest_fluxrun.judgement.guard_list import write_list
from tests.cli.test_cli_check import findings

_NAME = "orders.price-01jd3k00000000000000000001"
_LIST = 'required_plugins = ["pytest-fluxrun"]'
_WORDS = "required_plugins = pytest-fluxrun"
_NAMED = 'required_plugins = ["pytest-xdist", "pytest-fluxrun"]'


def _without_the_plugin(shop: Any) -> tuple[int, str]:
    """What pytest says in the project where nothing loads the plugin."""
    (shop.root / "test_own.py").write_text("def test_own():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:fluxrun", "-p", "no:cacheprovider", "test_own.py"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=shop.root, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("file", "table", "setting", "line"),
    [
        ("pytest.toml", "[pytest]", 'fluxrun_require = "all"', _LIST),
        (".pytest.toml", "[pytest]", 'fluxrun_require = "all"', _LIST),
        ("pytest.ini", "[pytest]", "fluxrun_require = all", _WORDS),
        (".pytest.ini", "[pytest]", "fluxrun_dir = runs", _WORDS),
        ("pyproject.toml", "[tool.pytest]", 'fluxrun_dir = ["runs"]', _LIST),
        ("pyproject.toml", "[tool.pytest.ini_options]", 'fluxrun_require = "all"', _LIST),
        ("tox.ini", "[pytest]", "fluxrun_require = 5", _WORDS),
        ("setup.cfg", "[tool:pytest]", "fluxrun_require = all", _WORDS),
    ],
)
def test_plugin_that_pytest_does_not_require(shop: Any, file: str, table: str, setting: str, line: str) -> None:
    """In each file that pytest reads: green without the plugin, then the line with which pytest refuses to run."""
    before = (shop.root / file).read_text() if (shop.root / file).exists() else ""
    (shop.root / file).write_text(f"{before}\n{table}\n{setting}\n")

    (warned,) = findings(shop, code=0, subject="pytest")
    green = _without_the_plugin(shop)
    (shop.root / file).write_text(f"{before}\n{table}\n{setting}\n{line}\n")
    (named,) = findings(shop, code=0, subject="pytest")
    refused = _without_the_plugin(shop)

    assert warned.startswith("warn")
    assert f"required_plugins in {file} doesn't name pytest-fluxrun" in warned
    assert f"{setting.split(maxsplit=1)[0]} is set there" in warned
    assert f"next: write under {table} in {file}: {line}" in warned
    assert 0 == green[0], green[1]
    assert (f"ok    pytest     {file} names pytest-fluxrun in required_plugins", 4) == (named, refused[0])
    assert "Missing required plugins: pytest-fluxrun" in refused[1]


def test_plugin_beside_others(shop: Any) -> None:
    """The whole setting is shown, with what it names already."""
    ini = shop.root / "pytest.ini"
    ini.write_text("[pytest]\nfluxrun_require = 1\nrequired_plugins = pytest-xdist>=3\n")

    (warned,) = findings(shop, code=0, subject="pytest")

    assert "required_plugins = 'pytest-xdist>=3' pytest-fluxrun" in warned


@pytest.mark.parametrize(
    ("written", "file"), [(False, "pyproject.toml"), (True, "pytest.ini")], ids=["nothing", "empty-ini"]
)
def test_guard_list_requires_the_plugin(shop: Any, *, written: bool, file: str) -> None:
    """guards.txt is enough; where pytest has no configuration, the file to begin is named."""
    write_list(shop.root / "runs", [_NAME])
    if written:
        (shop.root / "pytest.ini").write_text("")

    (warned,) = findings(shop, code=0, subject="pytest")

    assert "runs/guards.txt lists guards" in warned
    assert f" in {file}: required_plugins = " in warned


def test_setting_requires_the_plugin(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`require` of [tool.fluxrun] or the environment counts."""
    monkeypatch.setenv("FLUXRUN_REQUIRE", "3")

    (warned,) = findings(shop, code=0, subject="pytest")

    assert "the setting require is 3" in warned


@pytest.mark.parametrize("written", ["", "[pytest]\naddopts = -q\n", "[pytest]\nfluxrun_require = 0\n"])
def test_nothing_requires_the_plugin(shop: Any, written: str) -> None:
    """No finding where no run is required."""
    (shop.root / "pytest.ini").write_text(written)

    assert [] == findings(shop, code=0, subject="pytest")


def test_options_in_addopts_require_the_plugin(shop: Any) -> None:
    """Pytest knows no such option without the plugin, and refuses it."""
    (shop.root / "pytest.ini").write_text("[pytest]\naddopts = -q --fluxrun-dir=runs --fluxrun-require=all\n")
    write_list(shop.root / "runs", [_NAME])

    (line,) = findings(shop, code=0, subject="pytest")
    code, error = _without_the_plugin(shop)

    assert line.startswith("ok")
    assert (4, True) == (code, "unrecognized arguments: --fluxrun-dir=runs" in error)


def test_ini_file_that_cannot_be_read(shop: Any) -> None:
    """Neither can pytest: a failure, with the file."""
    (shop.root / "tox.ini").write_text("[pytest\n")

    (line,) = findings(shop, code=1, subject="pytest")

    assert line.startswith("fail")
    assert f"{shop.root / 'tox.ini'} can't be read" in line


def test_nearest_configuration_counts(shop: Any) -> None:
    """As for pytest: the project's own file before one further up, the first in pytest's order in one directory."""
    (shop.root.parent / "pytest.ini").write_text(f"[pytest]\n{_WORDS}\n")
    (shop.root / "runs" / "guards.txt").write_text(f"{_NAME}\n")
    (above,) = findings(shop, code=0, subject="pytest")
    (shop.root / "setup.cfg").write_text("[metadata]\nname = shop\n")
    (shop.root / "tox.ini").write_text("[pytest]\n")
    (shop.root / "pyproject.toml").write_text(
        f"{(shop.root / 'pyproject.toml').read_text()}\n[tool.pytest]\n{_NAMED}\n"
    )
    (own,) = findings(shop, code=0, subject="pytest")

    assert f"ok    pytest     {shop.root.parent / 'pytest.ini'} names pytest-fluxrun in required_plugins" == above
    assert "ok    pytest     pyproject.toml names pytest-fluxrun in required_plugins" == own
