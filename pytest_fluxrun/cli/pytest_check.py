"""What `fluxrun check` finds about pytest's configuration: whether pytest itself refuses to run without the plugin.

Files are found and read as pytest 9 does (`_pytest/config/findpaths.py`), without importing it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pytest_fluxrun.cli.findings import Finding, ok, warn
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.cli.pyproject import read_toml
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.judgement.guard_list import LIST_NAME

__all__ = ["check_pytest"]

_PLUGIN: Final = "pytest-fluxrun"
_ALWAYS: Final = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
"""These are the configuration even where they are empty."""
_FILES: Final = (*_ALWAYS, "pyproject.toml", "tox.ini", "setup.cfg")
"""In pytest's order."""


@dataclass(frozen=True, slots=True)
class _Configuration:
    """The one table that pytest reads.

    Attributes:
        table: its header, such as `[tool.pytest]`.
    """

    path: Path
    table: str
    values: Mapping[str, Any]

    def words(self, name: str) -> tuple[str, ...]:
        """A setting that is a list; in an ini file one string."""
        value = self.values.get(name, ())
        return tuple(shlex.split(value)) if isinstance(value, str) else tuple(map(str, value))


def check_pytest(project: Project) -> Iterator[Finding]:
    """Where something requires runs, a session without the plugin must not be green: it wouldn't know of them."""
    if find_spec("iniconfig") is None:  # pytest brings it; that pytest is missing is a finding of the machine's
        return
    found = _configuration(project.root)
    because = _requiring(project, found)
    if not because:
        return
    shown = project.shown(found.path)
    if any(_distribution(word) == _PLUGIN for word in found.words("required_plugins")):
        yield ok("pytest", f"{shown} names {_PLUGIN} in required_plugins")
    elif any(word.startswith("--fluxrun-") for word in found.words("addopts")):
        yield ok("pytest", f"addopts in {shown} has an option of FluxRun's, which pytest refuses without the plugin")
    else:
        text = f"required_plugins in {shown} doesn't name {_PLUGIN}" if found.path.exists() else "it has no ini file"
        yield warn(
            "pytest",
            f"{text}: where the plugin isn't installed, pytest replays no run and is green all the same, though "
            f"{because}",
            f"write under {found.table} in {shown}: {_line(found)}",
        )


def _requiring(project: Project, found: _Configuration) -> str:
    """What says that runs are to be replayed, or ""."""
    for directory in project.directories:
        if (directory / LIST_NAME).exists():
            return f"{project.shown(directory / LIST_NAME)} lists guards"
    if project.settings.require:
        return f"the setting require is {project.settings.require}"
    for name in ("fluxrun_require", "fluxrun_dir"):
        value = found.values.get(name)
        if value and str(value) != "0":
            return f"{name} is set there"
    return ""


def _line(found: _Configuration) -> str:
    """The whole setting, as that file's form has it."""
    words = (*found.words("required_plugins"), _PLUGIN)
    if found.path.suffix == ".toml":
        return f"required_plugins = {json.dumps(words)}"
    return f"required_plugins = {shlex.join(words)}"


def _distribution(requirement: str) -> str:
    """`pytest-fluxrun` of `pytest_fluxrun>=0.1`. pytest is stricter: it refuses to run with the underscore."""
    name = re.match(r"[A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", name[0] if name else "").lower()


def _configuration(root: Path) -> _Configuration:
    """What pytest reads when it is called in the root; where there is nothing, the file to begin.

    Raises:
        SettingsError: a file can't be read.
    """
    for folder in (root, *root.parents):
        for name in _FILES:
            found = _read(folder / name) if (folder / name).is_file() else None
            if found is not None:
                return found
    if (root / "pyproject.toml").is_file():
        return _Configuration(root / "pyproject.toml", "[tool.pytest]", {})
    return _Configuration(root / "pytest.ini", "[pytest]", {})


def _read(path: Path) -> _Configuration | None:
    """The table of a file; None where pytest goes on looking."""
    if path.name == "pyproject.toml":
        tool = read_toml(path).get("tool", {}).get("pytest", {})
        own = {name: value for name, value in tool.items() if name != "ini_options"}
        if own:
            return _Configuration(path, "[tool.pytest]", own)
        return _Configuration(path, "[tool.pytest.ini_options]", tool["ini_options"]) if "ini_options" in tool else None
    if path.suffix == ".toml":
        return _Configuration(path, "[pytest]", read_toml(path).get("pytest", {}))
    values = _section(path, "tool:pytest" if path.name == "setup.cfg" else "pytest")
    if values is None and path.name not in _ALWAYS:
        return None
    return _Configuration(path, "[tool:pytest]" if path.name == "setup.cfg" else "[pytest]", values or {})


def _section(path: Path, name: str) -> Mapping[str, str] | None:
    """A section of an ini file, or None."""
    from iniconfig import IniConfig, ParseError

    try:
        sections = IniConfig(str(path))
    except (ParseError, UnicodeDecodeError) as error:
        step = "repair the file; pytest can't read it either"
        raise SettingsError(f"{path} can't be read", why=str(error), next_step=step) from error
    return dict(sections[name].items()) if name in sections else None
