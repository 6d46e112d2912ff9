"""Moves many bundles between stores and a directory: in parallel, each on its own terms, with one report at the end.

Draws nothing and opens no bundle: progress and the check of a signature are the caller's functions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pytest_fluxrun.errors import FluxRunError, StoreUnreachable
from pytest_fluxrun.store.base import Store
from pytest_fluxrun.store.download import MAX_BUNDLE_BYTES, Check, Pin, fetch

__all__ = ["Check", "Failure", "Pin", "Progress", "TransferReport", "pull", "push"]

_GIVE_UP_AFTER = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is. Calls arrive from its threads, one at a time.

    Attributes:
        name: the bundle that the news is about.
        bytes_moved: in all, so far.
    """

    runs_done: int
    runs_total: int
    bytes_moved: int
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A bundle that wasn't moved, and why."""

    name: str
    error: FluxRunError


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What became of each bundle, in the order in which they were asked for."""

    done: tuple[str, ...] = ()
    already_there: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()


def push(
    names: Iterable[str],
    source: Store,
    target: Store,
    *,
    check: Check,
    workers: int = 8,
    progress: Callable[[Progress], None] | None = None,
) -> TransferReport:
    """Copy bundles to `target`, which keeps what it has.

    Args:
        names: which ones; duplicates count once.
        source: where from.
        target: where to.
        check: is given each name and its bytes before they are sent; its FluxRunError keeps that bundle back.
        workers: how many bundles are on their way at once. Each is in memory whole.
        progress: told of every bundle that has arrived or failed.

    Returns:
        One entry per name. A bundle's error is in it, not raised.
    """

    def move(name: str, moved: Callable[[int], None]) -> bool:
        data = source.read(name)
        check(name, data)
        stored = target.put(name, data)
        moved(len(data))
        return stored

    return _Transfer(list(dict.fromkeys(names)), progress).run(move, workers)


def pull(
    pins: Iterable[Pin],
    source: Store,
    directory: Path,
    *,
    check: Check,
    workers: int = 8,
    progress: Callable[[Progress], None] | None = None,
    max_bytes: int = MAX_BUNDLE_BYTES,
) -> TransferReport:
    """Copy bundles into `directory`, where each appears only once it is whole and right.

    An interrupted download stays as `<name>.fluxrun.part` and is continued by the next call. A file that is there is
    never touched: with the pinned digest it counts as already there, with another as failed.

    Args:
        pins: what to fetch; of several for one name the first counts.
        source: where from.
        directory: where to; made if missing.
        check: is given each name and its bytes, their digest known to be the pinned one; its FluxRunError refuses them.
        workers: how many downloads run at once.
        progress: told of every piece, and of every bundle that has arrived or failed.
        max_bytes: a bundle that the store says is larger is refused.

    Returns:
        One entry per name. A bundle's error is in it, not raised.
    """
    by_name: dict[str, Pin] = {}
    for pin in pins:
        by_name.setdefault(pin.name, pin)

    def move(name: str, moved: Callable[[int], None]) -> bool:
        return fetch(by_name[name], source, directory, check=check, moved=moved, max_bytes=max_bytes)

    return _Transfer(list(by_name), progress).run(move, workers)


_Verdict = Literal["done", "already there"] | FluxRunError


class _Transfer:
    """One call of push or pull: its threads, its counts, and when it gives up."""

    def __init__(self, names: Sequence[str], progress: Callable[[Progress], None] | None) -> None:
        self._names = names
        self._tell = progress
        self._lock = threading.Lock()
        self._state = Progress(runs_done=0, runs_total=len(names), bytes_moved=0, name="")
        self._unreachable_in_a_row = 0
        self._gave_up: StoreUnreachable | None = None

    def run(self, move: Callable[[str, Callable[[int], None]], bool], workers: int) -> TransferReport:
        def attempt(name: str) -> _Verdict:
            verdict = self._gave_up or self._attempt(name, move)
            self._advance(name, runs=1)
            return verdict

        pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="fluxrun-transfer")
        try:
            verdicts = list(pool.map(attempt, self._names))
        finally:
            pool.shutdown(cancel_futures=True)
        outcomes = list(zip(self._names, verdicts, strict=True))
        return TransferReport(
            done=tuple(name for name, verdict in outcomes if verdict == "done"),
            already_there=tuple(name for name, verdict in outcomes if verdict == "already there"),
            failed=tuple(Failure(name, error) for name, error in outcomes if isinstance(error, FluxRunError)),
        )

    def _attempt(self, name: str, move: Callable[[str, Callable[[int], None]], bool]) -> _Verdict:
        try:
            stored = move(name, lambda size_bytes: self._advance(name, size_bytes))
        except StoreUnreachable as error:
            self._count_unreachable(error)
            return error
        except FluxRunError as error:
            return error
        with self._lock:
            self._unreachable_in_a_row = 0
        return "done" if stored else "already there"

    def _count_unreachable(self, error: StoreUnreachable) -> None:
        """After a few in a row the rest isn't tried: each would wait for its own time-out."""
        with self._lock:
            self._unreachable_in_a_row += 1
            if self._unreachable_in_a_row >= _GIVE_UP_AFTER:
                self._gave_up = error

    def _advance(self, name: str, size_bytes: int = 0, *, runs: int = 0) -> None:
        with self._lock:
            self._state = replace(
                self._state,
                runs_done=self._state.runs_done + runs,
                bytes_moved=self._state.bytes_moved + size_bytes,
                name=name,
            )
            if self._tell is not None:
                self._tell(self._state)
