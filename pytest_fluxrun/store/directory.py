"""Bundles as files in one directory: complete ones only, whatever crashes, and never a changed one.

The file system is the only lock, so any number of threads, forks and machines may write. Reads no file's content.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_fluxrun.errors import AccessDenied, StoreError
from pytest_fluxrun.store.base import SUFFIX, Store, checked_name

__all__ = ["DirectoryStore", "create_file", "explain_os_errors", "publish"]

_CHUNK_BYTES = 1 << 18
_ABANDONED_AFTER_S = 86_400.0
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class DirectoryStore(Store):
    """A directory of `<name>.fluxrun` files. It is made by the first `put`; until then the store is empty."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().absolute()
        self._swept = False

    @property
    def location(self) -> str:
        """The directory's absolute path."""
        return str(self.path)

    def file(self, name: str) -> Path:
        """Return the path that the bundle `name` has or would have."""
        return self.path / (checked_name(name) + SUFFIX)

    def _create(self, name: str, data: bytes) -> bool:
        target = self.file(name)
        with explain_os_errors(self.path):
            if target.exists():
                return False
            self.path.mkdir(parents=True, exist_ok=True)
            self._sweep()
            return create_file(target, data)

    def _read(self, name: str, offset: int) -> Iterator[bytes]:
        with self._explained(name), self.file(name).open("rb") as source:
            source.seek(offset)
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk

    def _size(self, name: str) -> int | None:
        with self._explained(name):
            try:
                return self.file(name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _names(self, prefix: str) -> Iterator[str]:
        with explain_os_errors(self.path):
            try:
                with os.scandir(self.path) as entries:
                    found = [entry.name[: -len(SUFFIX)] for entry in entries if _is_bundle(entry)]
            except FileNotFoundError:
                return
        yield from sorted(name for name in found if name.startswith(prefix))

    def _sweep(self) -> None:
        """Remove, once, the temporary files that writers killed a day or more ago have left."""
        if self._swept:
            return
        self._swept = True
        horizon = time.time() - _ABANDONED_AFTER_S
        for path in self.path.glob(".put-*.tmp"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < horizon:
                    path.unlink()

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        with explain_os_errors(self.path):
            try:
                yield
            except FileNotFoundError:
                raise self._missing(name) from None


@contextlib.contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about files in the directory `path` into the StoreError that says what to do."""
    try:
        yield
    except PermissionError as error:
        raise AccessDenied(
            f"{path} can't be used as a store",
            why=f"the operating system refused: {error.strerror}",
            next_step="give this user read and write permission on the directory, then run `fluxrun check`",
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path} can't be used as a store",
            why=error.strerror or type(error).__name__,
            next_step="check the path and the free space there, then run `fluxrun check`",
        ) from error


def create_file(target: Path, data: bytes) -> bool:
    """Write `data` to `target` unless that exists; the file appears whole and durable, or not at all.

    The directory has to exist.

    Returns:
        False, having changed nothing, if `target` exists.
    """
    temporary = target.parent / f".put-{secrets.token_hex(8)}.tmp"
    try:
        _write_durably(temporary, data)
        return publish(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def publish(temporary: Path, target: Path) -> bool:
    """Give a finished file of the same directory its final name unless that is taken; return whether it was free.

    `temporary` may remain, for the caller to remove.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if not _rename_if_absent(temporary, target):
            return False
    _sync_directory(target.parent)
    return True


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _rename_if_absent(temporary: Path, target: Path) -> bool:
    """Rename under a lock on the directory, for file systems without hard links (exFAT, some network mounts)."""
    import fcntl

    directory = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if target.exists():
            return False
        temporary.rename(target)
        return True
    finally:
        os.close(directory)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _is_bundle(entry: os.DirEntry[str]) -> bool:
    if not entry.name.endswith(SUFFIX):
        return False
    try:
        checked_name(entry.name[: -len(SUFFIX)])
    except StoreError:
        return False
    return entry.is_file()
