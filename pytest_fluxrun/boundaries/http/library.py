"""What every HTTP library's boundary has in common: one stored form, and errors that may come from another library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.http.exchange import (
    Exchange,
    dump_exchange,
    load_exchange,
    settling_ns_of,
    written_exchange,
)
from pytest_fluxrun.boundaries.http.failures import Failure
from pytest_fluxrun.boundary import Boundary, Call, Request
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.http import HTTP
from pytest_fluxrun.values import Value, load_error

__all__ = ["HttpLibrary", "nothing_live"]


class HttpLibrary(Boundary[Exchange]):
    """A boundary of the kind http.

    Attributes:
        packages: top-level packages whose errors this library itself raises; all others are foreign to its users.
    """

    kind = HTTP
    packages: ClassVar[frozenset[str]]

    @abstractmethod
    def failure(self, error: BaseException) -> Failure | None:
        """Recording side: what an error of this library says stood in the way; None: nothing that others know."""

    @abstractmethod
    def raised_for(self, failure: Failure, message: str) -> BaseException:
        """Replaying side: the error that this library raises for a failure which another one recorded."""

    def weigh(self, result: Exchange) -> int:
        """The body's bytes."""
        return result.size_bytes

    def dump(self, result: Exchange) -> Value:
        """Head and chunks; an answer over the size bound becomes an opaque marker."""
        return dump_exchange(result, self.dump_error)

    def load(self, value: Value, call: Call) -> Exchange:
        """The exchange that `dump` saw; the seam makes a response of it."""
        del call
        return load_exchange(value)

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """A GET's answer from where the environment's `http` says; None for a request with a body of its own."""
        from pytest_fluxrun.boundaries.http.asking import asked_anew

        return None if request.get("body") else dump_exchange(asked_anew(request, environment), self.dump_error)

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """A reply in words: `status`, `headers` as a table, and `json` or `text`."""
        del request
        return dump_exchange(written_exchange(reply, self.name), self.dump_error)

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """An empty JSON object with status 200."""
        del request, number
        return {"status": 200, "json": {}}

    def unsent(self, call: Call) -> Value:
        """An empty 202, what collectors say."""
        del call
        exchange = Exchange(202, [(b"content-length", b"0")], http_version="HTTP/1.1", reason="Accepted")
        exchange.finish("eof")
        return {**dump_exchange(exchange, self.dump_error), "ended_ns": 0}

    def settling_ns(self, value: Value) -> int:
        """The time from head to end of a body that came at once."""
        return settling_ns_of(value)

    def dump_error(self, error: BaseException) -> Value:
        """The error as it is, and its failure, by which another library can raise its own."""
        dumped = super().dump_error(error)
        failure = self.failure(error)
        if failure is not None:
            dumped["failure"] = failure.value
        return dumped

    def load_error(self, value: Value, call: Call | None = None) -> BaseException:
        """The recorded error; this library's own for the same failure where another library recorded it."""
        del call
        package = str(value.get("type", "")).partition(":")[0].partition(".")[0]
        if "failure" in value and package not in self.packages:
            return self.raised_for(Failure(value["failure"]), str(value.get("message", "")))
        return load_error(value)


def nothing_live() -> Exchange:
    """The live side of reading on in an answer that the run left: there is none."""
    raise UnrecordedCall("the rest of an abandoned answer exists nowhere", asked="the rest of an HTTP answer")
