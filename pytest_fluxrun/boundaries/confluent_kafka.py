"""confluent-kafka: what a run produces, and the delivery reports that its polls and flushes get.

librdkafka sends in threads of its own, which no seam sees: what crosses is the producer's methods. At replay no handle
in C is made. A callback for a message of a run is called after the poll that brings its report, on the thread that
polls, and belongs to the run if that does; so is a callback for errors or statistics that a run's poll brings.
A class imported by name before FluxRun was installed bypasses the seam.
Tested with librdkafka's own mock cluster, a broker in this process that speaks the protocol; not with Kafka itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.kafka import forms
from pytest_fluxrun.boundaries.kafka.confluent_plain import (
    error_of,
    error_plain,
    metadata_of,
    metadata_plain,
)
from pytest_fluxrun.boundaries.kafka.confluent_reports import EVENTS, Reports
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request, Uncovered
from pytest_fluxrun.context import crossing
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, decode, encode, snapshot

__all__ = ["ConfluentKafkaBoundary", "boundary"]

_PRODUCE: Final = ("topic", "value", "key", "partition", "callback", "on_delivery", "timestamp", "headers")
"""Parameters of `Producer.produce` in their order."""
_MODULE: Final = "confluent_kafka.cimpl"
_SENT_ALONG: Final = ("key", "partition", "timestamp", "headers")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave, and the delivery reports that it brought, as plain data.

    Attributes:
        live: the answer itself, in a tuple, at the recording side.
    """

    plain: Any = None
    reports: tuple[dict[str, Any], ...] = ()
    live: tuple[Any] | None = None


class ConfluentKafkaBoundary(Boundary[Answer]):
    """`confluent_kafka.Producer` and `SerializingProducer`."""

    name: ClassVar[str] = "confluent-kafka"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = (
        "confluent_kafka.cimpl",
        "confluent_kafka.serializing_producer",
        "confluent_kafka",
    )
    distribution: ClassVar[str] = "confluent-kafka"
    tested: ClassVar[tuple[str, str]] = ("2.10.0", "2.16.1")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The class and the one that serializes, under each of their names."""
        for name, subclass in (("Producer", _recorded), ("SerializingProducer", _serializing)):
            if hasattr(module, name) and not issubclass(getattr(module, name), _Marked):
                yield Patch(module, name, subclass)

    def dump(self, result: Answer) -> Value:
        """The answer, and the reports as messages."""
        return {"answer": encode(result.plain), "messages": [encode(report) for report in result.reports]}

    def load(self, value: Value, call: Call) -> Answer:
        """The same."""
        del call
        return Answer(decode(value["answer"]), tuple(map(decode, value["messages"])))

    def dump_error(self, error: BaseException) -> Value:
        """The error with the KafkaError in it."""
        dumped = super().dump_error(error)
        dumped = {**dumped, "type": dumped["type"].replace("cimpl:", f"{_MODULE}:", 1)}  # the C classes say less
        inner = error.args[0] if error.args else None
        return {**dumped, "kafka": error_plain(inner)} if hasattr(inner, "txn_requires_abort") else dumped

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The same."""
        error = super().load_error(value, call)
        if "kafka" in value:
            error.args = (error_of(value["kafka"]),)
        return error


boundary = ConfluentKafkaBoundary()


class _Marked:
    """What the subclass is known by; and all that it does, above the methods in C."""

    _fx_played = False
    _fx_default: Any = None
    _fx_reports: Reports

    def _fx_cross(
        self, request: Callable[[], Request], original: Callable[[], Any], otherwise: Callable[[], Answer] | None = None
    ) -> Answer:
        """One call of the producer; the session is there."""
        session = crossing()

        def live() -> Answer:
            found = original()
            return Answer(metadata_plain(found), self._fx_reports.take(session), (found,))

        answer: Answer = session.call(boundary, Call(request, otherwise), live)
        if answer.live is None:
            self._fx_reports.play(session, answer.reports)
        return answer

    def _fx_wait(
        self, what: str, ask: Callable[[], Any], tell: Callable[[], None], *, waits: bool, played: Any = 0
    ) -> Any:
        """A call that serves callbacks: its answer, once they have been called."""
        session = crossing()
        if session is None:
            found = played if self._fx_played else ask()
        else:
            otherwise = None if waits and self._fx_reports.awaited(session) else functools.partial(Answer, played)
            answer = self._fx_cross(functools.partial(forms.asked, what), ask, otherwise)
            found = answer.plain if answer.live is None else answer.live[0]
        tell()
        return found

    def _fx_ask(self, form: Request, ask: Any, args: Any, kwargs: Any, *, local: bool = False) -> Any:
        if crossing() is None:
            found = None if self._fx_played else ask(*args, **kwargs)
        else:
            ask = functools.partial(ask, *args, **kwargs)
            answer = self._fx_cross(lambda: form, ask, Answer if local else None)
            found = metadata_of(answer.plain) if answer.live is None else answer.live[0]
        self._fx_reports.tell_all()
        return found

    def _fx_produce(self, session: Any, given: dict[str, Any], original: Callable[..., Any]) -> None:
        callback = given.pop("callback", None) or given.pop("on_delivery", None) or self._fx_default
        given.pop("on_delivery", None)
        number = self._fx_reports.number(session)
        along = {name: snapshot(given.get(name)) for name in _SENT_ALONG}
        request = functools.partial(forms.produced, str(given.get("topic")), snapshot(given.get("value")), **along)
        if callback is not None:
            noting = self._fx_reports.noting(session, number, callback)
            original = functools.partial(original, on_delivery=noting)
        self._fx_cross(request, functools.partial(original, **given))
        if session.answers and callback is not None:
            self._fx_reports.expect(session, number, callback)


class _Batches(Uncovered):
    """Many records in one call, each of which librdkafka tells of later."""

    name: ClassVar[str] = "confluent-kafka's produce_batch"
    modules = ("confluent_kafka",)
    instead: ClassVar[str] = "call produce for each message"

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: the producer's own seam asks."""
        del module
        return ()


_BATCHES: Final = _Batches()
_OF_LATER_VERSIONS: Final = ("cluster_id", "close", "__enter__", "__exit__", "produce_batch")


@functools.cache
def _recorded(original: Any) -> Any:
    """The subclass of cimpl's Producer."""

    class Producer(_Marked, original):  # type: ignore[misc]
        """A producer whose calls cross the boundary inside a run."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._fx_reports = Reports(tells_all=hasattr(original, "close"))
            conf = {**(args[0] if args and isinstance(args[0], dict) else {}), **kwargs}
            self._fx_default = conf.get("on_delivery") or conf.get("dr_cb")
            if not conf.keys().isdisjoint(EVENTS):
                args, kwargs = (self._fx_reports.kept_back(conf),), {}
            session = crossing()
            if session is None:
                super().__init__(*args, **kwargs)
                return
            request = functools.partial(forms.opened, conf.get("bootstrap.servers"))
            make = functools.partial(super().__init__, *args, **kwargs)
            self._fx_played = self._fx_cross(request, make, Answer).live is None

        def produce(self, *args: Any, **kwargs: Any) -> None:
            session = crossing()
            self._fx_reports.produced += 1
            if session is not None:
                given = {**dict(zip(_PRODUCE, args, strict=False)), **kwargs}
                original = super().produce
                if len(args) > len(_PRODUCE):  # for the library to refuse
                    original = lambda **_: super(Producer, self).produce(*args, **kwargs)  # noqa: E731
                self._fx_produce(session, given, original)
            elif not self._fx_played:
                super().produce(*args, **kwargs)

        def produce_batch(self, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is not None:
                session.uncovered(_BATCHES)
            return None if self._fx_played else super().produce_batch(*args, **kwargs)

        def poll(self, *args: Any, **kwargs: Any) -> Any:
            left = len(self._fx_reports)  # by a callback that failed: there is something to tell at once
            if left:
                args, kwargs = (0,), {}
            waits = (args[0] if args else kwargs.get("timeout", -1)) != 0
            ask = functools.partial(super().poll, *args, **kwargs)
            return self._fx_wait("poll", ask, self._fx_reports.tell, waits=waits) + bool(left)

        def flush(self, *args: Any, **kwargs: Any) -> Any:
            timeout_s = args[0] if args else kwargs.get("timeout", -1)
            before_ns = ambient.monotonic_ns()
            while True:
                produced = self._fx_reports.produced
                ask = functools.partial(super().flush, *args, **kwargs)
                found = self._fx_wait("flush", ask, self._fx_reports.tell_all, waits=True)
                if produced == self._fx_reports.produced:
                    return found
                if timeout_s > 0:  # callbacks have produced: those messages are waited for too
                    args, kwargs = (max(0, timeout_s - (ambient.monotonic_ns() - before_ns) / 1e9),), {}

        def __len__(self) -> int:
            session = crossing()
            played = self._fx_played or (session is not None and session.answers)
            live = self._fx_reports.awaited(session) if played else super().__len__()
            live += len(self._fx_reports)
            return live if session is None else int(session.read("confluent-kafka", "len", lambda: live))

        def list_topics(self, *args: Any, **kwargs: Any) -> Any:
            topic = args[0] if args else kwargs.get("topic")
            return self._fx_ask(forms.asked("list topics", topic or ""), super().list_topics, args, kwargs)

        def cluster_id(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.asked("cluster id"), super().cluster_id, args, kwargs)

        def set_sasl_credentials(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.asked("credentials"), super().set_sasl_credentials, args, kwargs, local=True)

        def init_transactions(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.asked("init transactions"), super().init_transactions, args, kwargs, local=True)

        def begin_transaction(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.asked("begin transaction"), super().begin_transaction, args, kwargs, local=True)

        def commit_transaction(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.settled("commit"), super().commit_transaction, args, kwargs)

        def abort_transaction(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.settled("abort"), super().abort_transaction, args, kwargs)

        def send_offsets_to_transaction(self, *args: Any, **kwargs: Any) -> Any:
            offsets = [[found.topic, found.partition, found.offset] for found in (args[0] if args else ())]
            form = forms.settled("offsets", offsets)
            return self._fx_ask(form, super().send_offsets_to_transaction, args, kwargs)

        def purge(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.asked("purge"), super().purge, args, kwargs, local=True)

        def close(self, *args: Any, **kwargs: Any) -> Any:
            ask = functools.partial(super().close, *args, **kwargs)
            return self._fx_wait("close", ask, self._fx_reports.tell_all, waits=False, played=True)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

    for name in _OF_LATER_VERSIONS:
        if not hasattr(original, name):
            delattr(Producer, name)
    Producer.__qualname__, Producer.__module__ = original.__qualname__, original.__module__
    return Producer


@functools.cache
def _serializing(original: Any) -> Any:
    """SerializingProducer above the subclass: its own methods find it by its name in the module."""
    bases = tuple(_recorded(base) if base.__name__ == "Producer" else base for base in original.__bases__)
    attributes = {name: found for name, found in vars(original).items() if name not in ("__dict__", "__weakref__")}
    return type(original)(original.__name__, bases, attributes)
