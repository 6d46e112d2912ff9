"""confluent-kafka: what a run produces, and the delivery reports that its polls and flushes get.

librdkafka sends in threads of its own, which no seam sees: what crosses is the producer's methods. At replay no handle
in C is made. A callback for a message of a run is called after the poll that brings its report, on the thread that
polls, and belongs to the run if that does. `Producer` imported by name before FluxRun was installed bypasses the seam.
Tested with librdkafka's own mock cluster, a broker in this process that speaks the protocol; not with Kafka itself.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.kafka import forms
from pytest_fluxrun.boundaries.kafka.confluent_plain import (
    error_of,
    error_plain,
    message_of,
    message_plain,
    metadata_of,
    metadata_plain,
)
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
    """`confluent_kafka.Producer`."""

    name: ClassVar[str] = "confluent-kafka"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("confluent_kafka.cimpl", "confluent_kafka")
    distribution: ClassVar[str] = "confluent-kafka"
    tested: ClassVar[tuple[str, str]] = ("2.10.0", "2.16.1")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The class, under both of its names."""
        if not issubclass(module.Producer, _Marked):
            yield Patch(module, "Producer", _recorded)

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


@dataclass(slots=True, eq=False)
class _Report:
    """Receives, from librdkafka, what became of a message of a run; kept until the poll is over."""

    arrived: list[Any]
    session: Any
    number: int
    callback: Callable[[Any, Any], Any]

    def __call__(self, error: Any, message: Any) -> None:
        self.arrived.append((self, error, message))


class _Marked:
    """What the subclass is known by; and all that it does, above the methods in C."""

    _fx_played = False
    _fx_default: Any = None

    def _fx_begin(self) -> None:
        self._fx_arrived: list[Any] = []
        self._fx_waiting: dict[int, Callable[[Any, Any], Any]] = {}
        self._fx_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def _fx_cross(
        self, request: Callable[[], Request], original: Callable[[], Any], otherwise: Callable[[], Answer] | None = None
    ) -> Answer:
        """One call of the producer; the session is there."""
        session = crossing()

        def live() -> Answer:
            found = original()
            mine = [item for item in self._fx_arrived if item[0].session is session]
            return Answer(metadata_plain(found), tuple(map(_plain, mine)), (found,))

        answer: Answer = session.call(boundary, Call(request, otherwise), live)
        return answer

    def _fx_report(self, answer: Answer) -> Any:
        """Call the callbacks; the call's own answer."""
        for report in answer.reports if answer.live is None else ():
            callback = self._fx_waiting.pop(report["number"], None)
            if callback is not None:
                callback(error_of(report["failure"]), message_of(report))
        self._fx_call_back()
        return answer.plain if answer.live is None else answer.live[0]

    def _fx_call_back(self) -> None:
        while self._fx_arrived:  # what one callback raises leaves the others for the next poll, as librdkafka does
            report, error, message = self._fx_arrived.pop(0)
            report.callback(error, message)

    def _fx_produce(self, session: Any, given: dict[str, Any], original: Callable[..., Any]) -> None:
        callback = given.pop("callback", None) or given.pop("on_delivery", None) or self._fx_default
        given.pop("on_delivery", None)
        number = self._fx_numbers.get(session, 0)
        self._fx_numbers[session] = number + 1
        along = {name: snapshot(given.get(name)) for name in _SENT_ALONG}
        request = functools.partial(forms.produced, str(given.get("topic")), snapshot(given.get("value")), **along)
        if callback is not None:
            original = functools.partial(original, on_delivery=_Report(self._fx_arrived, session, number, callback))
        self._fx_cross(request, functools.partial(original, **given))
        if session.answers and callback is not None:
            self._fx_waiting[number] = callback


def _plain(arrived: tuple[_Report, Any, Any]) -> dict[str, Any]:
    report, failure, message = arrived
    value = message_plain(message)
    return {**value, "payload": value["value"], "number": report.number, "failure": error_plain(failure)}


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


@functools.cache
def _recorded(original: Any) -> Any:
    """The subclass of cimpl's Producer."""

    class Producer(_Marked, original):  # type: ignore[misc]
        """A producer whose calls cross the boundary inside a run."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._fx_begin()
            conf = {**(args[0] if args and isinstance(args[0], dict) else {}), **kwargs}
            self._fx_default = conf.get("on_delivery") or conf.get("dr_cb")
            session = crossing()
            if session is None:
                super().__init__(*args, **kwargs)
                return
            request = functools.partial(forms.opened, conf.get("bootstrap.servers"))
            make = functools.partial(super().__init__, *args, **kwargs)
            self._fx_played = self._fx_cross(request, make, Answer).live is None

        def produce(self, *args: Any, **kwargs: Any) -> None:
            session = crossing()
            if session is not None:
                given = {**dict(zip(_PRODUCE, args, strict=False)), **kwargs}
                self._fx_produce(session, given, super().produce)
            elif not self._fx_played:
                super().produce(*args, **kwargs)

        if hasattr(original, "produce_batch"):

            def produce_batch(self, *args: Any, **kwargs: Any) -> Any:
                session = crossing()
                if session is not None:
                    session.uncovered(_BATCHES)
                return None if self._fx_played else super().produce_batch(*args, **kwargs)

        def poll(self, *args: Any, **kwargs: Any) -> Any:
            waits = (args[0] if args else kwargs.get("timeout", -1)) != 0
            return self._fx_wait("poll", functools.partial(super().poll, *args, **kwargs), waits=waits)

        def flush(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_wait("flush", functools.partial(super().flush, *args, **kwargs), waits=True)

        def _fx_wait(self, what: str, ask: Callable[[], Any], *, waits: bool) -> Any:
            if crossing() is None:
                found = 0 if self._fx_played else ask()
                self._fx_call_back()
                return found
            idle = functools.partial(Answer, 0)
            otherwise = None if waits and self._fx_waiting else idle
            return self._fx_report(self._fx_cross(functools.partial(forms.asked, what), ask, otherwise))

        def __len__(self) -> int:
            session = crossing()
            live = len(self._fx_waiting) if self._fx_played else super().__len__()
            return live if session is None else int(session.read("confluent-kafka", "len", lambda: live))

        def list_topics(self, *args: Any, **kwargs: Any) -> Any:
            topic = args[0] if args else kwargs.get("topic")
            return self._fx_ask(forms.asked("list topics", topic or ""), super().list_topics, args, kwargs)

        def cluster_id(self, *args: Any, **kwargs: Any) -> Any:
            return self._fx_ask(forms.asked("cluster id"), super().cluster_id, args, kwargs)

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
            return self._fx_ask(forms.asked("close"), super().close, args, kwargs, local=True)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def _fx_ask(self, form: Request, ask: Any, args: Any, kwargs: Any, *, local: bool = False) -> Any:
            if crossing() is None:
                return None if self._fx_played else ask(*args, **kwargs)
            ask = functools.partial(ask, *args, **kwargs)
            answer = self._fx_cross(lambda: form, ask, Answer if local else None)
            found = self._fx_report(answer)
            return metadata_of(found) if answer.live is None else found

    Producer.__qualname__, Producer.__module__ = original.__qualname__, original.__module__
    return Producer
