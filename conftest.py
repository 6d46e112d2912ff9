"""Test-wide fixtures: no test sees the developer's own keys, settings or environment."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A configuration directory of its own, and no FLUXRUN_* variable, for every test."""
    import os

    home: Path = tmp_path_factory.getbasetemp() / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name in [name for name in os.environ if name.startswith("FLUXRUN_") and name != "FLUXRUN_PURE"]:
        monkeypatch.delenv(name)
