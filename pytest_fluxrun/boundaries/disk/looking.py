"""Looking at files outside of the project: what there is, how large and how old, who may use it."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Self

from pytest_fluxrun.boundaries.disk.asked import Asked, asked
from pytest_fluxrun.context import reading

__all__ = ["LOOKS", "listdir", "scandir"]

_PLAIN: Final = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size")
_TIMES: Final = ("st_atime", "st_mtime", "st_ctime")
_MORE: Final = ("st_blksize", "st_blocks", "st_rdev")
_MOST_ENTRIES: Final = 1_000
"""Entries of one directory whose state is kept with their names."""


def _state(found: os.stat_result) -> dict[str, Any]:
    times = {f"{name}_ns": getattr(found, f"{name}_ns") for name in _TIMES}
    return {**{name: getattr(found, name) for name in (*_PLAIN, *_MORE) if hasattr(found, name)}, **times}


def _stat_result(state: dict[str, Any]) -> os.stat_result:
    whole = [state[f"{name}_ns"] // 10**9 for name in _TIMES]
    more = {name: second + 1e-9 * (state[f"{name}_ns"] % 10**9) for name, second in zip(_TIMES, whole, strict=True)}
    more |= {f"{name}_ns": state[f"{name}_ns"] for name in _TIMES}
    more |= {name: state[name] for name in _MORE if name in state}
    return os.stat_result([*(state[name] for name in _PLAIN), *whole], more)


def _written(access: Asked) -> Callable[[], dict[str, Any]] | None:
    """What answers where a replayed run looks at what it has made of a file, which the recorded one didn't."""
    if access.path not in access.disk.written:
        return None
    content = access.disk.written[access.path]

    def local() -> dict[str, Any]:
        if content is None:
            raise FileNotFoundError(2, os.strerror(2), access.path)
        state = dict.fromkeys((*_PLAIN, *_MORE), 0) | dict.fromkeys((f"{name}_ns" for name in _TIMES), 0)
        return {"state": {**state, "st_mode": stat.S_IFREG | 0o644, "st_size": len(content), "st_nlink": 1}}

    return local


def _looking(
    command: str, keep: Callable[[Any], dict[str, Any]], give: Callable[[dict[str, Any]], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A seam of a function of one path and plain arguments.

    Args:
        keep: what is kept of its result; `give` makes the result of that.
    """

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def look(path: Any, *args: Any, **kwargs: Any) -> Any:
            if reading() is None or kwargs.get("dir_fd") is not None:
                return original(path, *args, **kwargs)
            access = asked(path)
            if access is None:
                return original(path, *args, **kwargs)
            named = "lstat" if command == "stat" and kwargs.get("follow_symlinks") is False else command
            made: list[Any] = []

            def live() -> dict[str, Any]:
                made.append(original(path, *args, **kwargs))
                return keep(made[0])

            arguments = {"arguments": list(args)} if args else {}
            answer = access.cross(named, live, _written(access) if "stat" in named else None, **arguments)
            return made[0] if made else give(answer)

        return look

    return wrap


def _value(found: Any) -> dict[str, Any]:
    return {"value": found}


def _of_value(answer: dict[str, Any]) -> Any:
    return answer["value"]


def _kept_state(found: os.stat_result) -> dict[str, Any]:
    return {"state": _state(found)}


def _given_state(answer: dict[str, Any]) -> os.stat_result:
    return _stat_result(answer["state"])


LOOKS: Final = {
    "stat": _looking("stat", _kept_state, _given_state),
    "lstat": _looking("lstat", _kept_state, _given_state),
    "access": _looking("access", _value, _of_value),
    "readlink": _looking("readlink", _value, _of_value),
    "listxattr": _looking("listxattr", _value, _of_value),
    "statvfs": _looking(
        "statvfs", lambda found: {"value": list(found)}, lambda answer: os.statvfs_result(answer["value"])
    ),
}
"""By function of os."""


# -- directories -----------------------------------------------------------------------------------------------------


_ENTRY_BYTES: Final = 200
"""About what one takes in a recording."""


class _Entry(os.PathLike[str]):
    """An entry of a recorded directory."""

    def __init__(self, folder: str, kept: dict[str, Any]) -> None:
        self.name: str = kept["name"]
        self.path = os.path.join(folder, self.name)
        self._kept = kept

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory."""
        return bool(self._kept["is_dir" if follow_symlinks else "is_own_dir"])

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""
        return bool(self._kept["is_file" if follow_symlinks else "is_own_file"])

    def is_symlink(self) -> bool:
        """Whether it is a link."""
        return bool(self._kept["is_symlink"])

    def is_junction(self) -> bool:
        """Nowhere but on Windows."""
        return False

    def inode(self) -> int:
        """Its number."""
        return int(self._kept["inode"])

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Its state, as it was when the directory was read."""
        if "state" in self._kept and (not follow_symlinks or not self.is_symlink()):
            return _stat_result(self._kept["state"])
        return os.stat(self.path, follow_symlinks=follow_symlinks)


class _Scan:
    """What `os.scandir` gives: an iterator that can be closed."""

    def __init__(self, entries: Iterable[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give no more."""
        self._entries = iter(())


def _kept(entry: os.DirEntry[str], *, whole: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": entry.name, "inode": entry.inode()}
    found |= dict.fromkeys(("is_dir", "is_file", "is_own_dir", "is_own_file", "is_symlink"), False)
    try:
        found["is_own_dir"], found["is_own_file"] = (
            entry.is_dir(follow_symlinks=False),
            entry.is_file(follow_symlinks=False),
        )
        found["is_symlink"], found["is_dir"], found["is_file"] = entry.is_symlink(), entry.is_dir(), entry.is_file()
        if whole:
            found["state"] = _state(entry.stat(follow_symlinks=False))
    except OSError:  # it has gone meanwhile, or mayn't be looked at: the program meets that itself
        return found
    return found


def scandir(original: Callable[..., Any]) -> Callable[..., Any]:
    """`os.scandir`, and with it `os.walk` and globs."""

    @functools.wraps(original)
    def scan(path: Any = ".") -> Any:
        access = None if isinstance(path, bytes) else asked(path)
        if access is None:
            return original(path)
        made: list[Any] = []

        def live() -> dict[str, Any]:
            with original(path) as entries:
                made.extend(entries)
            kept = [_kept(entry, whole=number < _MOST_ENTRIES) for number, entry in enumerate(made)]
            return {"entries": kept, "size": len(kept) * _ENTRY_BYTES}

        answer = access.cross("list", live, arguments=["entries"])
        return _Scan(made or (_Entry(os.fspath(path), kept) for kept in answer["entries"]))

    return scan


def listdir(original: Callable[..., Any]) -> Callable[..., Any]:
    """`os.listdir`."""

    @functools.wraps(original)
    def list_directory(path: Any = ".") -> Any:
        access = None if isinstance(path, bytes) else asked(path)
        if access is None:
            return original(path)
        return list(access.cross("list", lambda: {"names": original(path)})["names"])

    return list_directory
