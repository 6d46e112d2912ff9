"""Finds boundaries and entries, by file name here and by entry point elsewhere, and loads each when its library loads.

Knows no library by name: a boundary file lists the modules that it covers in a line that is read without importing it.
"""

from __future__ import annotations

import ast
import functools
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

import wrapt

from pytest_fluxrun import patching
from pytest_fluxrun.boundary import Boundary, Kind, Seams
from pytest_fluxrun.entry import Entry, register
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.recognition import entry_for
from pytest_fluxrun.run import Interaction

__all__ = [
    "boundary_named",
    "broken_boundaries",
    "built_in_kind",
    "declared_boundaries",
    "declared_versions",
    "entry_kind",
    "install_replay_seams",
    "install_seams",
    "installed_boundaries",
    "instrument",
    "kind_named",
    "text_of",
    "unrecordable",
    "unreplayable",
    "untested_versions",
]

_BOUNDARIES = "pytest_fluxrun.boundaries"
_ENTRIES = "pytest_fluxrun.entries"
_KINDS = "pytest_fluxrun.kinds"
_ENTRY_POINTS = "fluxrun.boundaries"
_MODULES = re.compile(r"^    modules(?:: [^=\n]+)? = (\([^()]*\))$", re.MULTILINE)
_TESTED = re.compile(
    r"""^    distribution(?:: [^=\n]+)? = "([^"]+)"\n    tested(?:: [^=\n]+)? = \("([^"]+)", "([^"]+)"\)$""",
    re.MULTILINE,
)
"""Parsing the files instead took 50 ms of every start."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A boundary not yet loaded: its file or entry point, and the modules that wake it."""

    name: str
    modules: tuple[str, ...]
    entry_point: EntryPoint | None = None

    def load(self) -> Seams:
        if self.entry_point is None:
            loaded: Any = import_module(f"{_BOUNDARIES}.{self.name}").boundary
        else:
            loaded = self.entry_point.load()
        if not isinstance(loaded, Seams):
            raise SettingsError(
                f"the entry point fluxrun.boundaries:{self.name} isn't a boundary",
                why=f"it gives {type(loaded).__name__}, not an instance of pytest_fluxrun.boundary.Boundary",
                next_step="make the entry point name a module-level instance",
            )
        return loaded


_loaded: dict[str, Seams] = {}
_awake: list[tuple[Seams, Any]] = []
_hooked: set[str] = set()
_replaying = False
_broken: dict[str, str] = {}
_log = logging.getLogger("pytest_fluxrun")


def install_seams() -> None:
    """Patch what is loaded, and each other library when it is first imported. Calling it again does nothing."""
    for source in _sources():
        if source.name in _hooked:
            continue
        _hooked.add(source.name)
        _hook(source)


def install_replay_seams() -> None:
    """`install_seams`, and from now on also what only a process that replays needs."""
    global _replaying  # noqa: PLW0603 - what the process is for, once and for all
    install_seams()
    if not _replaying:
        _replaying = True
        for seams, module in _awake:
            patching.install(seams.replay_patches(module))


def _hook(source: _Source) -> None:
    for module in source.modules:
        if module in sys.modules:
            _wake(source, sys.modules[module])
        else:
            wrapt.register_post_import_hook(functools.partial(_wake, source), module)


def installed_boundaries() -> tuple[Seams, ...]:
    """The boundaries whose library is loaded, in the order of loading."""
    return tuple(_loaded.values())


def untested_versions() -> tuple[tuple[str, str], ...]:
    """(boundary, `distribution version (tested with oldest to newest)`) of each loaded one that wasn't tested so."""
    checked = ((seams, _untested(seams.distribution, *seams.tested)) for seams in _loaded.values())
    return tuple((seams.name, text) for seams, text in checked if text)


def declared_versions() -> Iterator[tuple[str, str, str]]:
    """(distribution, version here, what is untested about it or "") of libraries in whose insides boundaries reach.

    Loads none of them; one that isn't installed is left out.
    """
    folder = Path(__file__).with_name("boundaries")
    for path in sorted(folder.glob("*.py")):
        found = _TESTED.search(path.read_text(encoding="utf-8"))
        if found is not None and (here := _installed(found[1])):
            yield found[1], here, _untested(*found.groups())


@functools.cache
def _untested(distribution: str, oldest: str, newest: str) -> str:
    """What is untested about the version that is installed here, or ""."""
    here = _installed(distribution) if distribution else ""
    if not here or _release(oldest) <= _release(here) <= _release(newest):
        return ""
    return f"{distribution} {here} (tested with {oldest} to {newest})"


@functools.cache
def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _release(number: str) -> tuple[int, ...]:
    """The release segment of a version (PEP 440)."""
    found = re.match(r"\d+(?:\.\d+)*", number)
    return tuple(map(int, found[0].split("."))) if found else ()


def declared_boundaries() -> dict[str, tuple[str, ...]]:
    """Every boundary by the name of its file or entry point, with the imports that wake it; loads none."""
    return {source.name: source.modules for source in _sources()}


def boundary_named(name: str) -> Boundary[Any] | None:
    """The loaded boundary of that name as bundles write it, or None."""
    return next((seams for seams in _loaded.values() if isinstance(seams, Boundary) and seams.name == name), None)


def instrument(app: Any, name: str = "", *, kind: str = "") -> Any:
    """Record everything that an app serves or works off, and register it as an entry under a name.

    Args:
        app: an application object of any framework that an entry file knows: `FastAPI()`, a plain ASGI callable …
        name: the entry's name in bundles and node ids; the project's name by default.
        kind: the entry kind, e.g. `asgi`, for an object that is of more than one.

    Returns:
        The application to use in its place.

    Raises:
        SettingsError: no entry file recognises the object, or more than one does and `kind` doesn't say which.
    """
    entry = entry_for(app, kind, _entries())
    name = name or entry.default_name(app, _project_name())
    wrapped = entry.wrap(app, name)
    register(name, entry, wrapped)
    _log.info("FluxRun: entry %r is %s", name, entry.describe(wrapped))
    return wrapped


def entry_kind(kind: str) -> Entry | None:
    """The entry file of that kind, or None."""
    return next((entry for entry in _entries() if entry.kind == kind), None)


def _project_name() -> str:
    from pytest_fluxrun.config import current_settings

    return current_settings().project


@functools.cache
def _entries() -> tuple[Entry, ...]:
    folder = Path(__file__).with_name("entries")
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    return tuple(import_module(f"{_ENTRIES}.{name}").entry for name in names)


def broken_boundaries() -> tuple[str, ...]:
    """Boundaries that could not be installed, each with the reason: calls through their libraries aren't seen."""
    return tuple(f"{name}: {reason}" for name, reason in _broken.items())


def unrecordable() -> tuple[str, ...]:
    """The boundaries that say that no run of this process can be recorded faithfully."""
    return tuple(seams.name for seams in _loaded.values() if seams.unrecordable())


def unreplayable() -> str:
    """Why no run can be replayed faithfully in this process, from the first boundary that says so, or ""."""
    return next((why for seams in _loaded.values() if (why := seams.unreplayable())), "")


def _wake(source: _Source, module: Any) -> None:
    """Install a boundary. One that fails must not break the host's import: it is logged, and named at replay."""
    try:
        _install(source, module)
    except Exception as error:  # a third party's boundary may fail in any way
        if source.name not in _broken:
            _broken[source.name] = f"{type(error).__name__}: {error}"
            _log.warning("FluxRun can't see calls of %s: its boundary failed: %s", source.name, _broken[source.name])


def _install(source: _Source, module: Any) -> None:
    seams = _loaded.get(source.name)
    if seams is None:
        seams = _loaded[source.name] = source.load()
        _hook(_Source(source.name, tuple(name for name in seams.modules if name not in source.modules)))
    patching.install(seams.patches(module))
    _awake.append((seams, module))
    if _replaying:
        patching.install(seams.replay_patches(module))


@functools.cache
def _sources() -> tuple[_Source, ...]:
    return (*_built_in(), *_third_party())


def _built_in() -> Iterator[_Source]:
    folder = Path(__file__).with_name("boundaries")
    for path in sorted(folder.glob("*.py")):
        if path.stem != "__init__":
            yield _Source(path.stem, _declared_modules(path))


def _third_party() -> Iterator[_Source]:
    """Boundaries of other distributions; the entry point's name is the library's module, dots allowed."""
    for point in entry_points(group=_ENTRY_POINTS):
        yield _Source(point.name, (point.name,), point)


def _declared_modules(path: Path) -> tuple[str, ...]:
    """The `modules = (...)` of a file's classes, from its source: importing it could load the library."""
    found = _MODULES.findall(path.read_text(encoding="utf-8"))
    if found:
        return tuple(dict.fromkeys(name for literal in found for name in ast.literal_eval(literal)))
    raise SettingsError(
        f"{path.name} declares no modules",
        why="a boundary class says which imports wake it as a literal `modules = (...)`",
    )


def text_of(interaction: Interaction, request: Any) -> str:
    """A recorded call on one line, by its kind where that is loaded."""
    kind = kind_named(interaction.kind)
    return kind.text(request) if kind is not None else f"{interaction.kind} {request}"[:200]


def kind_named(name: str) -> Kind | None:
    """The kind of that name: one of the package's own, or one that a loaded boundary brings."""
    known = _own_kinds().get(name)
    if known is not None:
        return known
    return next(
        (seams.kind for seams in _loaded.values() if isinstance(seams, Boundary) and seams.kind.name == name), None
    )


def built_in_kind(name: str) -> Kind | None:
    """The package's own kind of that name, or None: the same whatever is loaded."""
    return _own_kinds().get(name)


@functools.cache
def _own_kinds() -> dict[str, Kind]:
    folder = Path(__file__).with_name("kinds")
    modules = [import_module(f"{_KINDS}.{path.stem}") for path in folder.glob("*.py") if path.stem != "__init__"]
    kinds = [value for module in modules for value in vars(module).values() if isinstance(value, Kind)]
    return {kind.name: kind for kind in kinds}
