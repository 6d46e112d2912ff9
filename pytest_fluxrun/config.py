"""Settings: what they are, where they come from, and what is said about one that can't be used.

Imports no pytest. Reads `pyproject.toml` and the environment that it is given; never the network.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.errors import SettingsError

__all__ = [
    "OTHER_VARIABLES",
    "Settings",
    "current_settings",
    "load_settings",
    "project_root",
    "setting_origins",
    "settings_chosen",
    "use_settings",
]

OTHER_VARIABLES: Final = frozenset({"FLUXRUN_CONFIRM_OUT", "FLUXRUN_PROJECT_KEY"})
"""FLUXRUN_* variables that are not settings."""

_PREFIX: Final = "FLUXRUN_"
_PATHS: Final = ("store", "trust_file", "key_file")
_MIB: Final = 2**20


def _split(names: Any) -> Any:
    return [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else names


def _known_level(level: str) -> str:
    if level.upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"it must be a level of logging, e.g. {', '.join(logging.getLevelNamesMapping())}")
    return level.upper()


def _age(text: str) -> str:
    if text and not re.fullmatch(r"[1-9]\d{0,4}[dw]", text):
        raise ValueError("it must be a number of days or weeks, e.g. 90d or 12w")
    return text


def _kinds(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in {*DriftKind}:
            raise ValueError(f"{name!r} is none of the kinds of drift: {', '.join(DriftKind)}")
    return names


Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Level = Annotated[str, AfterValidator(_known_level)]
Age = Annotated[str, AfterValidator(_age)]
Kinds = Annotated[Names, AfterValidator(_kinds)]


class Settings(BaseModel):
    """All settings of a process; docs/reference/settings.md describes each. Sizes are in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project: Slug = "app"
    store: str = ""
    sample: float = Field(default=0.0, ge=0, le=1)
    keep_4xx: bool = False
    slow_s: float | None = Field(default=None, gt=0)
    token: SecretStr | None = Field(default=None, repr=False)
    public_key: str = ""
    trust_file: str = "fluxrun-trust.toml"
    key_file: str = ""
    modules: Names = ()
    record_under_pytest: bool = False
    release: str = ""
    disabled: bool = False
    dry_run: bool = False
    pure: bool = False
    max_run_bytes: int = Field(default=8 * _MIB, gt=0)
    max_run_interactions: int = Field(default=10_000, gt=0)
    max_earlier_bytes: int = Field(default=64 * 2**10, ge=0)
    max_pending_bytes: int = Field(default=64 * _MIB, gt=0)
    max_pending_runs: int = Field(default=256, gt=0)
    flush_at_exit_s: float = Field(default=5.0, ge=0)
    log_level: Level = "NOTSET"
    deny: Names = ()
    allow: Names = ()
    allow_write: Names = ()
    telemetry: Names = ()
    timeout_s: float = Field(default=10.0, gt=0)
    require: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    on_unplayed: Literal["note", "fail"] = "note"
    fail_on: Kinds = ()
    max_age: Age = ""
    live: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Given:
    """One setting as given, with the words that say where."""

    value: Any
    origin: str


def load_settings(arguments: Mapping[str, Any], *, environ: Mapping[str, str], start_dir: Path) -> Settings:
    """The settings from arguments, else FLUXRUN_* variables, else `[tool.fluxrun]`, else their defaults.

    Args:
        arguments: by name; None counts as not given.
        environ: the environment; an empty variable counts as not given.
        start_dir: where the search for `pyproject.toml` begins; the nearest one upward with `[tool.fluxrun]` counts.
            Relative paths are relative to that file where it gives them or they are defaults, else to `start_dir`.

    Raises:
        SettingsError: a setting is unknown or can't be used, in any of the three places.
    """
    table = _find_table(start_dir)
    given: dict[str, _Given] = {}
    for source in (_from_table(table), _from_variables(environ), _from_arguments(arguments)):
        given |= _known(source)
    try:
        settings = Settings(**{name: one.value for name, one in given.items()})
    except ValidationError as error:
        raise _unusable(error, given) from None
    return settings.model_copy(update=dict(_absolute_paths(settings, given, table, start_dir)))


def project_root(start_dir: Path) -> Path:
    """The directory of the nearest `pyproject.toml` upward that has `[tool.fluxrun]`, else `start_dir`.

    Raises:
        SettingsError: a `pyproject.toml` on the way can't be read.
    """
    table = _find_table(start_dir)
    return start_dir.absolute() if table is None else table.path.parent


def setting_origins(*, environ: Mapping[str, str], start_dir: Path) -> dict[str, str]:
    """Where each setting that has another source than its default comes from, in words, by name.

    Raises:
        SettingsError: as `load_settings` where `[tool.fluxrun]` can't be read.
    """
    table = _find_table(start_dir)
    given = dict(_from_table(table)) | dict(_from_variables(environ))
    return {name: one.origin for name, one in given.items()}


def _known(source: Iterator[tuple[str, _Given]]) -> dict[str, _Given]:
    given = dict(source)
    for name, one in given.items():
        if name not in Settings.model_fields:
            raise _unknown(name, one)
    return given


def _from_arguments(arguments: Mapping[str, Any]) -> Iterator[tuple[str, _Given]]:
    for name, value in arguments.items():
        if value is not None:
            yield name, _Given(value, f"the argument {name}")


def _from_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    for variable, value in environ.items():
        if variable.startswith(_PREFIX) and variable not in OTHER_VARIABLES and value:
            yield variable.removeprefix(_PREFIX).lower(), _Given(value, f"the variable {variable}")


@dataclass(frozen=True, slots=True)
class _Table:
    """`[tool.fluxrun]` of a file."""

    path: Path
    text: str
    content: dict[str, Any]


def _from_table(table: _Table | None) -> Iterator[tuple[str, _Given]]:
    if table is None:
        return
    for name, value in table.content.items():
        yield name, _Given(value, f"{table.path}:{_line_of(name, table.text)} [tool.fluxrun]")


def _find_table(start_dir: Path) -> _Table | None:
    for folder in (start_dir, *start_dir.absolute().parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        table = _read_table(path)
        if table is not None:
            return table
    return None


def _read_table(path: Path) -> _Table | None:
    try:
        text = path.read_text(encoding="utf-8")
        tool = tomllib.loads(text).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"{path} can't be read",
            why=str(error),
            next_step="repair the file; the settings of FluxRun are its table [tool.fluxrun]",
        ) from error
    content = tool.get("fluxrun") if isinstance(tool, dict) else None
    if content is None:
        return None
    if not isinstance(content, dict):
        raise SettingsError(
            f"{path} can't be used",
            why=f"tool.fluxrun is {content!r}, not a table",
            next_step="write the settings below the line [tool.fluxrun]",
        )
    return _Table(path, text, content)


def _line_of(name: str, text: str) -> int:
    """The line of the setting in the file: the first `name =` after the table's head, or the head itself."""
    head = 1
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\s*tool\s*\.\s*fluxrun\b", line):
            head, inside = number, True
            if re.search(rf"\.\s*{re.escape(name)}\s*\]", line):
                return number
        elif re.match(r"\s*\[", line):
            inside = False
        elif inside and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*[.=]", line):
            return number
    return head


def _absolute_paths(
    settings: Settings,
    given: Mapping[str, _Given],
    table: _Table | None,
    start_dir: Path,
) -> Iterator[tuple[str, str]]:
    for name in _PATHS:
        location = getattr(settings, name)
        if not location or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", location):
            continue
        from_table = table is not None and (name not in given or given[name].origin.endswith("[tool.fluxrun]"))
        folder = table.path.parent if table is not None and from_table else start_dir
        yield name, str(folder.absolute() / Path(location).expanduser())


def _unknown(name: str, given: _Given) -> SettingsError:
    nearest = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.5)
    known = ", ".join(sorted(Settings.model_fields))
    return SettingsError(
        f"there is no setting {name!r}",
        why=f"it comes from {given.origin}",
        next_step=f"did you mean {nearest[0]!r}?" if nearest else f"the settings are {known}",
    )


def _unusable(error: ValidationError, given: Mapping[str, _Given]) -> SettingsError:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    reason = first["msg"].removeprefix("Value error, ")
    value = "" if name == "token" else f" {given[name].value!r}"
    return SettingsError(
        f"the setting {name}{value} can't be used",
        why=f"{reason[0].lower()}{reason[1:]}; it comes from {given[name].origin}",
        next_step=f"correct it there; {_expected(name)}",
    )


def _expected(name: str) -> str:
    field = Settings.model_fields[name]
    if name == "project":
        return "a project is up to 64 letters, digits, dots, dashes and underscores, the first a letter or digit"
    default = "none" if field.default in (None, "", ()) else repr(field.default)
    return f"the default is {default}"


_current: Settings | None = None


def use_settings(settings: Settings | None) -> None:
    """Make these the settings of the process; None forgets them."""
    global _current  # noqa: PLW0603 - one set of settings per process
    _current = settings


def settings_chosen() -> bool:
    """Whether the process has its settings: `fluxrun.init` was called, or a replay or command has begun."""
    return _current is not None


def current_settings() -> Settings:
    """The settings in use, or where nobody has chosen any, those of the environment and the working directory.

    Raises:
        SettingsError: as `load_settings`.
    """
    return _current if _current is not None else load_settings({}, environ=os.environ, start_dir=Path.cwd())
