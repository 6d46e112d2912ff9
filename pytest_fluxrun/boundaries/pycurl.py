"""pycurl: a handle's transfers, at `perform`. libcurl raises no event of Python, so what isn't routed is announced.

`Curl` can't be patched in place: a subclass stands in for it, also where modules have imported it by name by now. Who
holds the C class otherwise (an instance's attribute, a default argument) isn't seen, and nor is a handle from before.
A transfer with its redirects is one call. Not played: progress and debug callbacks. Refused by name: CurlMulti,
websockets, raw sends, schemes other than http and https.
"""

from __future__ import annotations

import functools
import io
import os
import sys
import traceback
import weakref
from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.curl.mime import Mime
from pytest_fluxrun.boundaries.curl.request import Asked, uncovered
from pytest_fluxrun.boundaries.curl.transfer import INFO, Transfer
from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.failures import Failure
from pytest_fluxrun.boundaries.http.library import HttpLibrary
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["PycurlBoundary", "boundary"]

_BY_CODE: Final = {
    1: Failure.PROTOCOL,
    3: Failure.PROTOCOL,
    5: Failure.PROXY,
    6: Failure.DNS,
    7: Failure.REFUSED,
    8: Failure.PROTOCOL,
    16: Failure.PROTOCOL,
    18: Failure.INCOMPLETE,
    28: Failure.READ_TIMEOUT,
    35: Failure.TLS,
    51: Failure.TLS,
    52: Failure.DROPPED,
    55: Failure.DROPPED,
    56: Failure.DROPPED,
    60: Failure.TLS,
    77: Failure.TLS,
    92: Failure.PROTOCOL,
    97: Failure.PROXY,
}
"""By CURLcode, of curl/curl.h."""
_BY_FAILURE: Final = {
    Failure.DNS: 6,
    Failure.REFUSED: 7,
    Failure.UNREACHABLE: 7,
    Failure.TLS: 60,
    Failure.PROXY: 97,
    Failure.CONNECT_TIMEOUT: 28,
    Failure.POOL_TIMEOUT: 28,
    Failure.WRITE_TIMEOUT: 28,
    Failure.READ_TIMEOUT: 28,
    Failure.DROPPED: 52,
    Failure.INCOMPLETE: 18,
    Failure.PROTOCOL: 8,
}
_FAILED_WRITING: Final = 23
_told: weakref.WeakKeyDictionary[BaseException, dict[str, Any]] = weakref.WeakKeyDictionary()
"""What getinfo says after an error without an answer; beside the error, which is the app's."""
_live_failures: weakref.WeakSet[BaseException] = weakref.WeakSet()


class PycurlBoundary(HttpLibrary):
    """Handles of pycurl."""

    name: ClassVar[str] = "pycurl"
    modules = ("pycurl",)
    packages = frozenset({"pycurl"})

    def patches(self, module: Any) -> Iterable[Patch]:
        """The classes, in the module and wherever they have been imported by name."""
        module = _in_its_place(module)
        wraps = {module.Curl: _once(self._subclass), module.CurlMulti: _once(self._subclass_multi)}
        if hasattr(module, "CurlMime"):
            wraps[module.CurlMime] = _once(_subclass_mime)
        for owner in list(sys.modules.values()):
            for attribute, value in list(vars(owner).items()) if _is_module(owner) else ():
                # `isinstance` would wake lazy objects, such as Django's
                if issubclass(type(value), type) and value in wraps:
                    yield Patch(owner, attribute, wraps[value])

    def failure(self, error: BaseException) -> Failure | None:
        """By libcurl's code."""
        code = error.args[0] if error.args else None
        if code == 28 and "onnection timed out" in str(error.args[-1]):
            return Failure.CONNECT_TIMEOUT
        return _BY_CODE.get(code) if isinstance(code, int) else None

    def raised_for(self, failure: Failure, message: str) -> BaseException:
        """Pycurl's error with libcurl's code for the failure, and the text that was recorded."""
        error: BaseException = import_module("pycurl").error(_BY_FAILURE[failure], message)
        return error

    def dump(self, result: Exchange) -> Value:
        """The exchange, with the lines and the information of a transfer; whole or not at all."""
        dumped = super().dump(result)
        if isinstance(result, Transfer) and "end" in dumped:
            dumped["curl"] = {"lines": [line.decode("latin-1") for line in result.lines], "info": encode(result.info)}
        return dumped

    def dump_error(self, error: BaseException) -> Value:
        """The error, its failure, and what getinfo says after it."""
        dumped = super().dump_error(error)
        if error in _told:
            dumped["curl"] = encode(_told[error])
        return dumped

    def load_error(self, value: Value, call: Call | None = None) -> BaseException:
        """The error, which knows what getinfo says after it where pycurl recorded it."""
        error = super().load_error(value, call)
        if "curl" in value:
            _told[error] = decode(value["curl"])
        return error

    def load(self, value: Value, call: Call) -> Exchange:
        """A transfer, also of what another library recorded."""
        own = decode(value["curl"]) if "curl" in value else {}
        return Transfer.played(super().load(value, call), call.form()["url"], **own)

    def _subclass(self, original: Any) -> Any:
        return type("Curl", (_Handle, original), {"_boundary": self, "__module__": original.__module__})

    def _subclass_multi(self, original: Any) -> Any:
        return type("CurlMulti", (_Multi, original), {"_boundary": self, "__module__": original.__module__})


def _subclass_mime(original: Any) -> Any:
    return type("CurlMime", (Mime, original), {"__module__": original.__module__})


def _in_its_place(module: Any) -> Any:
    """Pycurl itself, also where something else has put an object in its place whose handles no seam sees.

    pytest-recording 0.13 does so in every session; what it guards is a run's own affair.
    """
    if _is_module(module):
        return module
    held: list[Any] = [vars(each).get("pycurl") for each in list(sys.modules.values()) if _is_module(each)]
    real = next(each for each in held if _is_module(each) and each.__name__ == "pycurl")
    sys.modules["pycurl"] = real
    return real


def _is_module(owner: Any) -> bool:
    """By its true type: an object in a module's place may claim any other."""
    return issubclass(type(owner), ModuleType)


@functools.cache
def _told_by(module: Any) -> tuple[tuple[str, int], ...]:
    """The names of what getinfo tells that is kept, each with its option, as far as this pycurl has it."""
    options = ((name, getattr(module, name, None) or getattr(module, name.removesuffix("_T"), None)) for name in INFO)
    return tuple((name, option) for name, option in options if option is not None)


def _once(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return functools.lru_cache(maxsize=1)(make)


def _announce(url: str) -> None:
    """Tell the fence, if one is up, of a live transfer that it can't see; it refuses by raising."""
    sys.audit("fluxrun.live", "libcurl transfer", url.partition("?")[0].rpartition("@")[2])


class _Handle:
    """What stands before pycurl's own class."""

    _boundary: ClassVar[PycurlBoundary]

    @property
    def _options(self) -> dict[int, Any]:
        return self.__dict__.setdefault("_fluxrun_options", {})  # type: ignore[no-any-return]  # `duphandle` inits nothing

    @property
    def _played(self) -> Transfer | None:
        return self.__dict__.get("_fluxrun_played")

    # -- options

    def setopt(self, option: int, value: Any, **keywords: Any) -> None:
        """Set it on the C handle, which checks it, and keep it."""
        super().setopt(option, value, **keywords)  # type: ignore[misc]  # pycurl's
        self._keep(option, value)

    def setopt_string(self, option: int, value: str) -> None:
        """Likewise."""
        super().setopt_string(option, value)  # type: ignore[misc]  # pycurl's
        self._keep(option, value)

    def unsetopt(self, option: int) -> None:
        """Likewise."""
        super().unsetopt(option)  # type: ignore[misc]  # pycurl's
        self._keep(option, None)

    def reset(self) -> None:
        """All options as they were."""
        super().reset()  # type: ignore[misc]  # pycurl's
        self._options.clear()

    def duphandle(self) -> Any:
        """A handle with the same options."""
        other = super().duphandle()  # type: ignore[misc]  # pycurl's
        other._options.update(self._options)  # noqa: SLF001 - of its own class
        return other

    def _keep(self, option: int, value: Any) -> None:
        module = import_module("pycurl")
        same = {
            module.WRITEDATA: (module.WRITEFUNCTION, "write"),
            module.WRITEHEADER: (module.HEADERFUNCTION, "write"),
            module.READDATA: (module.READFUNCTION, "read"),
        }
        if option in same:
            option, method = same[option]
            value = getattr(value, method, value)
        if value is None:
            self._options.pop(option, None)
            return
        self._options[option] = value
        methods = [module.HTTPGET, module.NOBODY, module.POST, module.UPLOAD, module.HTTPPOST]
        methods += [module.MIMEPOST] if hasattr(module, "MIMEPOST") else []
        if option in methods and value:  # the last one says what the request is, as in libcurl
            for other in (*methods, *((module.POSTFIELDS, module.COPYPOSTFIELDS) if option == module.HTTPGET else ())):
                if other != option:
                    self._options.pop(other, None)

    # -- transfers

    def perform(self) -> None:
        """One transfer."""
        self.__dict__.pop("_fluxrun_played", None)
        module, session = import_module("pycurl"), crossing()
        url = str(self._options.get(module.URL, ""))
        if session is None:
            _announce(url)
            super().perform()  # type: ignore[misc]  # pycurl's
            return
        obstacle = uncovered(module, self._options)
        if obstacle:
            self._cross_uncovered(session, obstacle, super().perform)  # type: ignore[misc]  # pycurl's
            return
        asked = Asked(module, self._options)
        try:
            transfer = session.call(self._boundary, Call(request=asked.form), lambda: self._live(module, asked))
        except module.error as failure:
            if failure not in _live_failures:
                self.__dict__["_fluxrun_played"] = Transfer.failed(failure, url, info=_told.get(failure))
            raise
        if transfer.response is None:
            self.__dict__["_fluxrun_played"] = transfer
            self._play(module, transfer)
        transfer.response = None
        if transfer.end == "error":
            error = transfer.error
            raise error if isinstance(error, BaseException) else self._boundary.load_error(error)

    def perform_rb(self) -> bytes:
        """One transfer, and the body."""
        body = io.BytesIO()
        self.setopt(import_module("pycurl").WRITEDATA, body)
        self.perform()
        return body.getvalue()

    def perform_rs(self) -> str:
        """One transfer, and the body as text."""
        return self.perform_rb().decode()

    def _live(self, module: Any, asked: Asked) -> Transfer:
        """The transfer for real, with tees on its callbacks; an error after the head is part of the answer."""
        transfer = Transfer()
        transfer.response = self
        options = self._options
        write, header = options.get(module.WRITEFUNCTION, _to_stdout), options.get(module.HEADERFUNCTION)
        before = {**options, module.WRITEFUNCTION: write, module.HEADERFUNCTION: header or _nowhere}
        tees: dict[int, Callable[[Any], Any]] = {
            module.WRITEFUNCTION: transfer.tee(write),
            module.HEADERFUNCTION: transfer.tee_lines(header),
        }
        read = asked.tee()
        if read is not None:
            tees[module.READFUNCTION] = read
        error: BaseException | None = None
        try:
            for option, tee in tees.items():
                super().setopt(option, tee)  # type: ignore[misc]  # pycurl's
            super().perform()  # type: ignore[misc]  # pycurl's
        except module.error as failure:
            error = failure
        finally:
            for option in tees:  # pycurl 7.45 can't unset one
                super().setopt(option, before[option])  # type: ignore[misc]  # pycurl's
        decoded = bool(options.get(module.ACCEPT_ENCODING)) and options.get(module.HTTP_CONTENT_DECODING, 1)
        transfer.conclude(error, self._info(module), decoded=bool(decoded))
        if error is not None and not transfer.lines:
            _live_failures.add(error)
            _told[error] = transfer.info
            raise error
        return transfer

    def _info(self, module: Any) -> dict[str, Any]:
        found, getinfo = {}, super().getinfo  # type: ignore[misc]  # pycurl's
        for name, option in _told_by(module):
            try:  # noqa: SIM105 - `suppress` costs as much as the rest
                found[name] = getinfo(option)
            except (module.error, ValueError):  # what this libcurl doesn't know
                pass
        return found

    def _play(self, module: Any, transfer: Transfer) -> None:
        """Give the recorded answer to the callbacks, as libcurl does; one that fails ends the transfer."""
        write, header = self._options.get(module.WRITEFUNCTION, _to_stdout), self._options.get(module.HEADERFUNCTION)
        pieces = [(header, line) for line in transfer.lines if header is not None]
        if self._options.get(module.ACCEPT_ENCODING):
            transfer.undo_coding()
        for callback, piece in (*pieces, *((write, chunk) for chunk in transfer.chunks)):
            try:
                taken = callback(piece)
            except Exception:  # the app's; pycurl prints it and libcurl says that writing failed
                traceback.print_exc()
                taken = -1
            if taken is not None and taken != len(piece):
                if transfer.end == "error":
                    return
                raise module.error(_FAILED_WRITING, f"client returned {taken}, expected {len(piece)}")

    def _cross_uncovered(self, session: Any, what: str, live: Callable[[], Any]) -> Any:
        """Cross with what can be seen and not played: a recording is unready by it, a replay refuses it by name."""
        module = import_module("pycurl")
        url = Asked(module, {module.URL: self._options.get(module.URL, "")}).form()["url"]
        form = {"method": "CURL", "url": url, "headers": [], "body": "", "streamed": False, "rest": f"with {what}"}
        result: list[Any] = []

        def made() -> Transfer:
            transfer = Transfer()
            transfer.response, transfer.end = self, "over-bound"
            result.append(live())
            return transfer

        session.call(self._boundary, Call(request=form), made)
        return result[0]

    # -- afterwards

    def getinfo(self, option: int) -> Any:
        """What is known of the last transfer."""
        return super().getinfo(option) if self._played is None else self._played.about(option)  # type: ignore[misc]

    def getinfo_raw(self, option: int) -> Any:
        """Likewise, text as bytes."""
        if self._played is None:
            return super().getinfo_raw(option)  # type: ignore[misc]  # pycurl's
        found = self._played.about(option)
        return found.encode() if isinstance(found, str) else found

    def errstr(self) -> str:
        """The message of the last transfer's error."""
        if self._played is None:
            return str(super().errstr())  # type: ignore[misc]  # pycurl's
        error = self._played.error
        arguments = error.args if isinstance(error, BaseException) else decode(error)["args"] if error else ()
        return str(arguments[-1]) if arguments else ""


def _uncovered_method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        original = functools.partial(getattr(super(_Handle, self), name), *args, **kwargs)
        session = crossing()
        if session is None:
            _announce(f"a connection, by {name}")
            return original()
        return self._cross_uncovered(session, name, original)

    return method


for _name in ("send", "recv", "recv_into", "ws_send", "ws_recv", "ws_recv_into"):
    setattr(_Handle, _name, _uncovered_method(_name))


class _Multi:
    """What stands before pycurl's own class: seen, and refused by name at replay."""

    _boundary: ClassVar[PycurlBoundary]

    def add_handle(self, handle: Any) -> None:
        """The handle's transfer begins with the next `perform`."""
        session = crossing()
        add = functools.partial(super().add_handle, handle)  # type: ignore[misc]  # pycurl's
        if session is None or not isinstance(handle, _Handle):
            _announce("the handles of a CurlMulti")
            add()
        else:
            handle._cross_uncovered(session, "CurlMulti", add)  # noqa: SLF001 - of this file

    def perform(self) -> Any:
        """Go on with all transfers."""
        _announce("the handles of a CurlMulti")
        return super().perform()  # type: ignore[misc]  # pycurl's

    def socket_action(self, *args: Any) -> Any:
        """Go on with the transfers of a socket."""
        _announce("the handles of a CurlMulti")
        return super().socket_action(*args)  # type: ignore[misc]  # pycurl's


def _to_stdout(piece: bytes) -> int:
    """Where libcurl writes what nobody takes."""
    sys.stdout.flush()
    return os.write(1, piece)


def _nowhere(_: bytes) -> None:
    """Where libcurl writes header lines that nobody takes."""


boundary = PycurlBoundary()
