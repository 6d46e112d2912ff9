"""`fluxrun list`: one line per run, from the plaintext index alone. Needs no key and opens no bundle."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from pytest_fluxrun.bundle import Index, read_index, run_id_time_ns
from pytest_fluxrun.cli.console import columns, plural
from pytest_fluxrun.cli.issues import list_issues
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.errors import BundleError, FluxRunError, GuardError, TruncatedBundle
from pytest_fluxrun.judgement.corpus import all_placed
from pytest_fluxrun.judgement.guard import Guard, read_guard
from pytest_fluxrun.store import Store, open_store
from pytest_fluxrun.trace import traces_meant

__all__ = ["command"]

_SHORTEST_ID = 10
_ID_LENGTH = 26
_MOST_TRACES = 5
_WORKERS = 8
_HEADER = ("RUN", "STARTED (UTC)", "ENTRY", "ROUTE", "RESULT", "CALLS", "READINESS", "GUARD")


@dataclass(frozen=True, slots=True)
class _Listed:
    """A run as far as its index and guard tell: `problem` says why there is no index."""

    run_id: str
    index: Index | None
    problem: str = ""
    guard: Guard | None = None
    guard_problem: str = ""

    @property
    def started_at_unix_ns(self) -> int:
        return self.index.started_at_unix_ns if self.index else _id_time_ns(self.run_id)


@click.command("list")
@directories_option
@click.option("--store", "location", metavar="STORE", help="List a store (a path, s3://bucket/prefix) instead.")
@click.option("--status", metavar="STATUS", help="Only runs that ended so: 500, 5xx, or `error` for raised ones.")
@click.option("--entry", metavar="NAME", help="Only runs of this entry.")
@click.option("--trace", metavar="ID", help="Only runs of one request: its trace id, or 8 digits of it, or request id.")
@click.option("--issues", is_flag=True, help="One line per issue: failed runs of one failure together. Needs the key.")
@click.option("--unready", is_flag=True, help="Only runs that can't be replayed as they are.")
def command(
    *,
    directories: tuple[Path, ...],
    location: str | None,
    status: str | None,
    entry: str | None,
    trace: str | None,
    issues: bool,
    unready: bool,
) -> None:
    """List runs, the newest last: id, start, entry, route, result, calls per kind, readiness, guard.

    Only the plaintext index of each bundle is read, so this needs no key; nothing in it is authenticated yet. With
    --issues the runs are opened.
    """
    wanted = _filter(status, entry, unready=unready)
    if location is None:
        project = Project.current(directories)
        where = ", ".join(map(project.shown, project.directories))
        listed = list(_in_directories(project.directories))
    else:
        with open_store(location) as store:
            where, listed = store.location, _in_store(store)
    if issues:
        _issues(directories, location, {one.run_id for one in listed if one.index and wanted(one)}, trace)
        return
    of_trace = listed if trace is None else _of_trace(trace, listed, where)
    chosen = sorted(filter(wanted, of_trace), key=lambda one: (one.started_at_unix_ns, one.run_id))
    length = _id_length([one.run_id for one in listed])
    if chosen:
        several = trace is not None and len({one.index.project for one in chosen if one.index}) > 1
        for line in columns(
            [_header(with_project=several), *(_row(one, length, with_project=several) for one in chosen)]
        ):
            click.echo(line)
    left_out = len(listed) - len(chosen)
    click.echo(f"{plural(len(chosen), 'run')} in {where}{f', {left_out} left out' if left_out else ''}", err=True)
    if any(one.problem or one.guard_problem for one in chosen):
        raise SystemExit(1)


def _issues(directories: tuple[Path, ...], location: str | None, run_ids: Collection[str], trace: str | None) -> None:
    """The issues of some runs, which are opened."""
    if location is not None or trace is not None:
        raise click.UsageError(
            "--issues opens the runs of a directory: leave out --store and --trace, fetch with `fluxrun pull`"
        )
    project = Project.current(directories)
    chosen = [placed for placed in all_placed(project.directories) if placed.run_id in run_ids]
    list_issues(project, chosen, ", ".join(map(project.shown, project.directories)))


def _in_directories(directories: Sequence[Path]) -> Iterator[_Listed]:
    for placed in all_placed(directories):
        guard, guard_problem = None, ""
        if placed.guard is not None:
            try:
                guard = read_guard(placed.guard)
            except GuardError as error:
                guard_problem = f"unusable: {error.why}"
        if not placed.bundle.exists():
            yield _Listed(placed.run_id, None, "not here: `fluxrun pull` fetches it", guard, guard_problem)
            continue
        try:
            index, problem = read_index(placed.bundle), ""
        except BundleError as error:
            index, problem = None, f"{error.reason}: {error.what}"
        yield _Listed(placed.run_id, index, problem, guard, guard_problem)


def _in_store(store: Store) -> list[_Listed]:
    def read(name: str) -> _Listed:
        try:
            return _Listed(name[-_ID_LENGTH:], _head(store, name))
        except FluxRunError as error:
            return _Listed(name[-_ID_LENGTH:], None, str(error).splitlines()[0])

    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="fluxrun-list") as pool:
        return list(pool.map(read, store.names()))


def _head(store: Store, name: str) -> Index:
    """The index off the first pieces of a stored bundle; the rest isn't fetched."""
    head = b""
    for chunk in store.get(name):
        head += chunk
        try:
            return read_index(head)
        except TruncatedBundle:
            continue
    return read_index(head)


def _filter(status: str | None, entry: str | None, *, unready: bool) -> Callable[[_Listed], bool]:
    if status is not None and not re.fullmatch(r"[1-9][0-9]{2}|[1-9]xx|error", status):
        raise click.BadParameter(f"{status!r} is no status: give e.g. 500, 5xx, or error", param_hint="--status")

    def wanted(one: _Listed) -> bool:
        index = one.index
        if index is None:
            return status is None and entry is None
        if entry is not None and index.entry != entry:
            return False
        return (not unready or index.readiness == "unready") and _ended_so(index, status)

    return wanted


def _ended_so(index: Index, status: str | None) -> bool:
    if status is None:
        return True
    if status == "error":
        return bool(index.error_type)
    return re.fullmatch(status.replace("x", "[0-9]"), str(index.status)) is not None


def _of_trace(wanted: str, listed: Sequence[_Listed], where: str) -> list[_Listed]:
    """The runs that carry an id; exits where none does, or where its beginning is that of several."""
    indexed = [one for one in listed if one.index is not None]
    ids = [one.index.trace for one in indexed if one.index is not None]
    meant = traces_meant(wanted.strip(), ids)
    if len(meant) > 1:
        shown = ", ".join(sorted(meant)[:_MOST_TRACES])
        raise click.BadParameter(
            f"{wanted!r} begins {len(meant)} traces: {shown}; give more digits", param_hint="--trace"
        )
    if not meant:
        without = sum(1 for one in ids if not one)
        raise FluxRunError(
            f"no run in {where} carries the trace or request id {wanted!r}",
            why=f"of {plural(len(listed), 'run')} there, {without} carry no id at all"
            + (f" and {len(listed) - len(indexed)} can't be read" if len(listed) > len(indexed) else ""),
            next_step="look in another place with --store or --dir; give the whole id, or at least its first 8 digits",
        )
    return [one for one, found in zip(indexed, ids, strict=True) if meant & {*found.values()}]


def _header(*, with_project: bool) -> tuple[str, ...]:
    return (*_HEADER[:2], "PROJECT", *_HEADER[2:]) if with_project else _HEADER


def _row(one: _Listed, length: int, *, with_project: bool = False) -> tuple[str, ...]:
    cells = _cells(one, length)
    return (*cells[:2], one.index.project, *cells[2:]) if with_project and one.index else cells


def _cells(one: _Listed, length: int) -> tuple[str, ...]:
    started = datetime.fromtimestamp(one.started_at_unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    guard = one.guard_problem or _guard_text(one.guard)
    if one.index is None:
        return (one.run_id[:length], started, "-", "-", "-", "-", one.problem, guard)
    index = one.index
    error = index.error_type.rpartition(".")[2]
    result = " ".join(filter(None, (str(index.status or ""), error))) or "returned"
    calls = " ".join(f"{kind}:{count}" for kind, count in sorted(index.counts.items())) or "none"
    readiness = f"unready: {', '.join(index.reasons)}" if index.readiness == "unready" else "recorded"
    if one.guard is not None and one.guard.proven and index.readiness != "unready":
        readiness = f"proven {one.guard.proven}"
    return (one.run_id[:length], started, index.entry, index.route or "-", result, calls, readiness, guard)


def _guard_text(guard: Guard | None) -> str:
    if guard is None:
        return "-"
    return f"{guard.expect}{', pending' if guard.pending else ''}"


def _id_length(run_ids: Sequence[str]) -> int:
    """How many characters tell the ids apart: at least the ten that hold the time."""
    ordered = sorted(set(run_ids))
    shared = (_shared(*pair) + 1 for pair in itertools.pairwise(ordered))
    return max(_SHORTEST_ID, *shared, 0)


def _shared(one: str, other: str) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _id_time_ns(run_id: str) -> int:
    try:
        return run_id_time_ns(run_id)
    except ValueError:
        return 0
