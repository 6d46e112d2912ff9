"""Test-wide fixtures: no test sees the developer's own keys, settings or environment."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A configuration directory of its own, and no FLUXRUN_* variable, for every test.

    Nor CI, where pytest prints whole texts in its summary: tests read what a developer sees.
    """
    import os

    home: Path = tmp_path_factory.getbasetemp() / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name in [name for name in os.environ if name.startswith("FLUXRUN_") and name != "FLUXRUN_PURE"]:
        monkeypatch.delenv(name)
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
