"""From the setting `store` to a store: the one place that knows which scheme belongs to which implementation.

Opens nothing on disk or on the network; an implementation is imported only when its scheme is asked for.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.store.base import Store
from pytest_fluxrun.store.directory import DirectoryStore
from pytest_fluxrun.store.memory import MemoryStore

__all__ = ["open_store"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_SLASHES_LACK = re.compile(r"(file|memory|s3|https?):(?!//)")
_LOCAL_HOSTS = ("", "localhost")
_FORMS = "a path, file:///path, memory://name or s3://bucket/prefix"


def open_store(location: str | Path) -> Store:
    """Return the store at `location`, without touching it yet.

    Args:
        location: a path (a relative one counts from the working directory), `file://`, `memory://name`,
            `s3://bucket/prefix`, or the scheme of an installed distribution's entry point in group `fluxrun.stores`.

    Raises:
        SettingsError: the scheme is unknown, or what it needs isn't installed.
    """
    if isinstance(location, Path):
        return DirectoryStore(location)
    text = location.strip()
    found = _SCHEME.match(text)
    if found is None:
        return DirectoryStore(_checked_path(text))
    match found[1].lower():
        case "file":
            return DirectoryStore(_file_path(text))
        case "memory":
            return MemoryStore(text[len("memory://") :])
        case "s3":
            from pytest_fluxrun.store.object import ObjectStore

            return ObjectStore(text)
        case scheme:
            return _open_foreign(scheme, text)


def _open_foreign(scheme: str, location: str) -> Store:
    for entry_point in entry_points(group="fluxrun.stores", name=scheme):
        store = entry_point.load()(location)
        if isinstance(store, Store):
            return store
        raise SettingsError(
            f"the store for {scheme}:// can't be used",
            why=f"entry point {entry_point.value!r} returned {type(store).__name__}, not a Store",
            next_step="report it to the distribution that declares the entry point",
        )
    raise SettingsError(
        f"no store is known for {scheme}://",
        why=f"a store is {_FORMS}",
        next_step="correct the setting `store` (or FLUXRUN_STORE), then run `fluxrun check`",
    )


def _checked_path(text: str) -> str:
    if text and not _SLASHES_LACK.match(text):
        return text
    raise SettingsError(
        f"the store {text!r} can't be used" if text else "the store is empty",
        why=f"a store is {_FORMS}",
        next_step="correct the setting `store` (or FLUXRUN_STORE), then run `fluxrun check`",
    )


def _file_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in _LOCAL_HOSTS or not parts.path.startswith("/"):
        raise SettingsError(
            f"the store {url!r} can't be used",
            why="a file URL names an absolute path on this machine",
            next_step="write it as file:///absolute/path, or as a plain path",
        )
    return Path(unquote(parts.path))
