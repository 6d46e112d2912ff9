"""One bundle from a store into a directory: resumed where it broke off, verified before it has its name.

Never changes a file that ends in `.fluxrun`; what isn't finished or isn't right lives in `<name>.fluxrun.part`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pytest_fluxrun.errors import DamagedBundle, StoreError, StoreUnreachable
from pytest_fluxrun.store.base import Store
from pytest_fluxrun.store.directory import DirectoryStore, explain_os_errors, publish

__all__ = ["MAX_BUNDLE_BYTES", "PARTIAL_SUFFIX", "Check", "Pin", "fetch"]

MAX_BUNDLE_BYTES = 64 << 20
"""The largest file that the bundle format allows."""

PARTIAL_SUFFIX = ".part"
"""What an unfinished download's file name ends in, after `.fluxrun`."""

Check = Callable[[str, bytes], None]
"""Looks at a bundle's bytes (signature, trust) and raises a FluxRunError to refuse them."""

_RESUMPTIONS = 3


@dataclass(frozen=True, slots=True)
class Pin:
    """A bundle by its name and the SHA-256 that a guard pinned, in hex; "" where nothing did."""

    name: str
    sha256: str = ""


def fetch(
    pin: Pin,
    source: Store,
    directory: Path,
    *,
    check: Check,
    moved: Callable[[int], None],
    max_bytes: int = MAX_BUNDLE_BYTES,
) -> bool:
    """Download a bundle, continuing what an earlier call began.

    Args:
        pin: which one.
        source: where from.
        directory: where to; made if missing.
        check: is called with bytes of the pinned digest, before the file appears.
        moved: is told the size of every piece that arrives.
        max_bytes: what the store may say the bundle's size is.

    Returns:
        False if the file was there already, with the pinned digest.

    Raises:
        StoreError: the store failed, or a different file has the name.
        DamagedBundle: the store's bytes aren't the pinned ones.
    """
    target = DirectoryStore(directory).file(pin.name)
    with explain_os_errors(directory):
        partial = target.with_name(target.name + PARTIAL_SUFFIX)
        # A pull that was killed while its finished file had both names has left the partial one: only its lock's
        # holder may remove that.
        if _is_there(pin, target) and not partial.exists():
            return False
        directory.mkdir(parents=True, exist_ok=True)
        with _exclusive(partial) as file:
            if _is_there(pin, target):
                partial.unlink()
                return False
            size_bytes = _allowed_size(pin.name, source, max_bytes)
            data = _complete(pin, source, file, size_bytes, moved)
            try:
                _verify(pin, data, check)
            except Exception:  # whatever refused the bytes, they must not be resumed
                partial.unlink()
                raise
            file.flush()
            os.fsync(file.fileno())
            appeared = publish(partial, target)
            partial.unlink(missing_ok=True)
            return appeared or not _is_there(pin, target)


def _allowed_size(name: str, source: Store, max_bytes: int) -> int:
    size_bytes = source.size(name)
    if size_bytes <= max_bytes:
        return size_bytes
    raise StoreError(
        f"{name} was not pulled",
        why=f"{source.location} says that it has {size_bytes} bytes, and {max_bytes} are allowed",
        next_step="check who writes to that store; no bundle is that large",
    )


def _complete(pin: Pin, source: Store, file: BinaryIO, size_bytes: int, moved: Callable[[int], None]) -> bytes:
    """Return all bytes of the bundle, those in `file` taken as its beginning if they fit the pin."""
    resumed = 0 < file.seek(0, os.SEEK_END) <= size_bytes
    if not resumed:
        file.truncate(0)
    data = _download(pin.name, source, file, size_bytes, moved)
    if resumed and pin.sha256 and not _fits(pin, data):
        file.truncate(0)
        data = _download(pin.name, source, file, size_bytes, moved)
    return data


def _download(name: str, source: Store, file: BinaryIO, size_bytes: int, moved: Callable[[int], None]) -> bytes:
    """Append what `file` lacks of the bundle's `size_bytes`, asking again when the connection breaks off."""
    for remaining in reversed(range(_RESUMPTIONS + 1)):
        offset = file.seek(0, os.SEEK_END)
        try:
            for chunk in source.get(name, offset=offset):
                file.write(chunk)
                moved(len(chunk))
                if file.tell() > size_bytes:
                    break
        except StoreUnreachable:
            if remaining == 0 or file.tell() == offset:
                raise
        else:
            break
    file.seek(0)
    return file.read()


def _verify(pin: Pin, data: bytes, check: Check) -> None:
    if pin.sha256 and not _fits(pin, data):
        raise DamagedBundle(
            f"{pin.name} was not pulled",
            why=f"its SHA-256 in the store is {hashlib.sha256(data).hexdigest()}, the guard pins {pin.sha256}",
            next_step="find out who changed it; push the right one under its own run id, or correct the guard's sha256",
        )
    check(pin.name, data)


def _is_there(pin: Pin, target: Path) -> bool:
    """Tell whether the file exists; raise if it isn't the pinned one."""
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        return False
    if not pin.sha256 or _fits(pin, data):
        return True
    raise StoreError(
        f"{target} was not replaced",
        why=f"its SHA-256 is {hashlib.sha256(data).hexdigest()}, the guard pins {pin.sha256}",
        next_step="move the file away and pull again, or correct the guard's sha256",
    )


def _fits(pin: Pin, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == pin.sha256.lower()


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for appending, made if missing, and keep every other pull of this machine off it meanwhile."""
    while True:
        with path.open("a+b") as file:
            _lock(file)
            # The one who had the lock before may have moved the file to its final name.
            if not _is_named(file, path):
                continue
            try:
                yield file
            finally:
                file.flush()
                if file.seek(0, os.SEEK_END) == 0 and _is_named(file, path):
                    path.unlink()
            return


def _is_named(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:
        return
    # A file system without locks: two pulls at once waste work, and the digest still decides.
    with contextlib.suppress(OSError):
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
