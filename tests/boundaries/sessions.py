"""A small recorder and replayer for boundary tests: the Session protocol on JSON, without clock and matching rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import orjson

from pytest_fluxrun import patching
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.context import LANE, Lane, entered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.values import decode, encode_or_opaque, plain


class Record:
    """What one recording holds, as JSON text between the two."""

    def __init__(self) -> None:
        self.interactions: list[dict[str, Any]] = []
        self.reads: dict[str, dict[str, list[Any]]] = {}
        self.logs: list[Any] = []

    def through_json(self) -> None:
        """What a bundle does to it."""
        self.interactions, self.reads, self.logs = orjson.loads(
            orjson.dumps([self.interactions, self.reads, self.logs])
        )


class _Base:
    clock = None
    preamble = False

    def __init__(self, record: Record) -> None:
        self.record = record

    def ambient_for(self, lane: Lane) -> Any:
        del lane

    def log(self, entry: Mapping[str, Any]) -> None:
        self.record.logs.append(dict(entry))

    @contextmanager
    def _inside(self) -> Any:
        lane = LANE.get()
        lane.inside = True
        try:
            yield
        finally:
            lane.inside = False


class Recorder(_Base):
    """Makes live calls and keeps them."""

    answers = False

    def call(self, boundary: Any, call: Any, live: Callable[[], Any]) -> Any:
        """See `boundary.Session`."""
        kept = self._kept(boundary, call)
        try:
            with self._inside():
                result = live()
            kept["answer"] = boundary.dump(result)
        except BaseException as error:  # kept as the recorder keeps it
            kept["error"] = boundary.dump_error(error)
            raise
        return result

    async def acall(self, boundary: Any, call: Any, live: Callable[[], Any]) -> Any:
        """See `boundary.Session`."""
        kept = self._kept(boundary, call)
        try:
            with self._inside():
                result = await live()
            kept["answer"] = boundary.dump(result)
        except BaseException as error:  # kept as the recorder keeps it
            kept["error"] = boundary.dump_error(error)
            raise
        return result

    def _kept(self, boundary: Any, call: Any) -> dict[str, Any]:
        kept = {"boundary": boundary.name, "call": call}
        self.record.interactions.append(kept)
        return kept

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """See `boundary.Session`."""
        value = live()
        self.record.reads.setdefault(source, {}).setdefault(key, []).append(encode_or_opaque(value))
        return value

    def finish(self) -> None:
        """Make the request forms now: after the run, as the writer does."""
        for kept in self.record.interactions:
            kept["request"] = encode_or_opaque(kept.pop("call").form())
        self.record.through_json()


class Replayer(_Base):
    """Serves a record by canonical call and never goes live for a call."""

    answers = True

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.left = list(record.interactions)
        self.cursor: dict[tuple[str, str], int] = {}

    def call(self, boundary: Any, call: Any, live: Callable[[], Any]) -> Any:
        """See `boundary.Session`."""
        del live
        canonical = boundary.kind.canonical(call.form())
        for kept in self.left:
            if kept["boundary"] == boundary.name and boundary.kind.canonical(plain(kept["request"])) == canonical:
                self.left.remove(kept)
                if "error" in kept:
                    raise boundary.load_error(kept["error"], call)
                with self._inside():
                    return boundary.load(kept["answer"], call)
        raise UnrecordedCall("not recorded", asked=boundary.kind.text(call.form()))

    async def acall(self, boundary: Any, call: Any, live: Callable[[], Any]) -> Any:
        """See `boundary.Session`."""
        return self.call(boundary, call, live)

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """See `boundary.Session`."""
        values = self.record.reads.get(source, {}).get(key)
        if not values:
            return live()
        at = self.cursor.get((source, key), 0)
        self.cursor[source, key] = at + 1
        return decode(values[min(at, len(values) - 1)])


@contextmanager
def session(owner: Any) -> Any:
    """Run the block in the root lane of a session."""
    with entered(Lane(owner)):
        yield owner


@contextmanager
def recorded() -> Any:
    """Record the block onto the Record that is given."""
    record = Record()
    owner = Recorder(record)
    with session(owner):
        yield record
    owner.finish()


@contextmanager
def alone(*libraries: Seams) -> Iterator[None]:
    """The seams of these libraries, installed for the block, and no others."""
    others = patching.installed_patches()
    patching.restore_all()
    try:
        for library in libraries:
            for name in library.modules:
                patching.install(library.patches(import_module(name)))
        yield
    finally:
        patching.restore_all()
        patching.install(others)


@contextmanager
def seams(boundary: Seams, *modules: Any) -> Any:
    """A boundary's patches, installed for the block: also those of a process that replays."""
    try:
        for module in modules:
            patching.install(boundary.patches(module))
            patching.install(boundary.replay_patches(module))
        yield
    finally:
        patching.restore_all()
