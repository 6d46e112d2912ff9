"""socket: what the machine is called and what the DNS answers are recorded, as reads, and served in a replay.

And in a process that replays, datagrams to an address that the setting `telemetry` lists vanish (statsd); nothing is
patched for that where no `udp://` address is listed. All other datagrams are the fence's affair.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.config import current_settings
from pytest_fluxrun.context import reading
from pytest_fluxrun.values import dump_error, load_error

__all__ = ["boundary"]

_SCHEME: Final = "udp://"
_FORWARD: Final = frozenset({"gethostbyname", "gethostbyname_ex", "getaddrinfo"})
_HERE: Final = ("", None, b"", "localhost")
_ADDRESSED: Final = 2  # (host, port, ...)
_OF_ITSELF: Final[dict[str, Callable[[str], Any]]] = {
    "gethostbyaddr": lambda name: (name, [], ["127.0.0.1"]),
    "gethostbyname": lambda _: "127.0.0.1",
}
"""What a machine is told of its own name in a replay whose run didn't ask: fixed code that sends a mail does."""
_LOOK_UPS: Final = ("gethostname", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getaddrinfo", "getnameinfo")


class Socket(Seams):
    """The seams of look-ups and of datagram sockets."""

    name = "socket"
    modules = ("socket",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """The look-ups; and connect and the sends of datagrams, if a host is listed, whose look-up then is none."""
        for name in _LOOK_UPS:
            yield Patch(module, name, _looked_up, fenced=True)  # pytest-socket puts some of them back
        addresses = [address for address in current_settings().telemetry if address.startswith(_SCHEME)]
        if not addresses:
            return
        listed = telemetry.Addresses(addresses)
        hosts = frozenset(address.removeprefix(_SCHEME).rpartition(":")[0] for address in addresses)
        yield Patch(module.socket, "connect", functools.partial(_connect, listed))
        yield Patch(module.socket, "sendto", functools.partial(_sendto, listed))
        yield from (Patch(module.socket, name, _send) for name in ("send", "sendall"))
        yield Patch(module, "getaddrinfo", functools.partial(_getaddrinfo, hosts))
        yield Patch(module, "gethostbyname", functools.partial(_gethostbyname, hosts))


# -- look-ups --------------------------------------------------------------------------------------------------------


def _looked_up(original: Callable[..., Any]) -> Callable[..., Any]:
    """What a program asks itself: not what a library asks within a call that is recorded, nor of an address."""
    name = original.__name__

    @functools.wraps(original)
    def look_up(*args: Any, **kwargs: Any) -> Any:
        session = reading()
        if session is None or (name in _FORWARD and _is_here(args[0] if args else kwargs.get("host"))):
            return original(*args, **kwargs)
        given = [*args, *(kwargs[key] for key in sorted(kwargs))]
        asked = ", ".join(repr(_plain(part)) for part in given)
        live: list[Any] = []  # the program gets what the machine said itself, and not a copy of it

        def ask() -> dict[str, Any]:
            if session.answers and name in _OF_ITSELF and given == [socket.gethostname()]:
                return {"answer": _OF_ITSELF[name](given[0])}
            try:
                live.append(original(*args, **kwargs))
            except OSError as error:
                live.append(error)
                return {"error": dump_error(error)}
            return {"answer": _storable(live[0])}

        found = session.read("dns", f"{name}({asked})", ask)
        answer = live[0] if live else _loaded(name, found)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return look_up


def _is_here(host: Any) -> bool:
    """Whether nobody is asked for a host's address: it is this machine, or an address already."""
    return host in _HERE or (isinstance(host, str) and (":" in host or host.replace(".", "").isdigit()))


def _storable(answer: Any) -> Any:
    return [tuple(map(_plain, found)) for found in answer] if isinstance(answer, list) else answer


def _loaded(name: str, found: dict[str, Any]) -> Any:
    """What was recorded: an answer, or the error in its place."""
    if "error" in found:
        return load_error(found["error"])
    return _addresses(found["answer"]) if name == "getaddrinfo" else found["answer"]


def _plain(part: Any) -> Any:
    return int(part) if isinstance(part, int) else part


def _addresses(found: list[Any]) -> list[Any]:
    """As `getaddrinfo` gives them: families and sorts as members of their enums, where these know them."""
    return [
        (_member(socket.AddressFamily, family), _member(socket.SocketKind, sort), protocol, name, address)
        for family, sort, protocol, name, address in found
    ]


def _member(enum: Any, number: int) -> int:
    try:
        member: int = enum(number)
    except ValueError:
        return number
    return member


# -- datagrams -------------------------------------------------------------------------------------------------------


def _target(listed: telemetry.Addresses, sock: Any, address: Any) -> str:
    """The URL of a listed address to which nothing may be sent, or ""."""
    if not telemetry.dropping() or not sock.type & socket.SOCK_DGRAM:
        return ""
    if not isinstance(address, tuple) or len(address) < _ADDRESSED:
        return ""
    url = f"{_SCHEME}{address[0]}:{address[1]}"
    return url if url in listed else ""


def _connect(listed: telemetry.Addresses, original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def connect(self: Any, address: Any) -> None:
        if _target(listed, self, address):
            telemetry.dead_ends.add(self)
            return
        telemetry.dead_ends.discard(self)
        original(self, address)

    return connect


def _sendto(listed: telemetry.Addresses, original: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(original)
    def sendto(self: Any, data: Any, *args: Any) -> int:
        url = _target(listed, self, args[-1]) if args else ""
        if url and telemetry.drop(f"datagram to {url}"):
            return memoryview(data).nbytes
        return original(self, data, *args)

    return sendto


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    whole = original.__name__ == "sendall"

    @functools.wraps(original)
    def send(self: Any, data: Any, *args: Any) -> Any:
        if self in telemetry.dead_ends and telemetry.drop("datagram through a connected socket"):
            return None if whole else memoryview(data).nbytes
        return original(self, data, *args)

    return send


def _getaddrinfo(hosts: frozenset[str], original: Callable[..., Any]) -> Callable[..., Any]:
    """A listed host's name stands for its address: nothing is ever sent there."""

    @functools.wraps(original)
    def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        if host in hosts and telemetry.dropping() and type & socket.SOCK_DGRAM:
            return [(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "", (host, port))]
        return original(host, port, family, type, *args, **kwargs)

    return getaddrinfo


def _gethostbyname(hosts: frozenset[str], original: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(original)
    def gethostbyname(host: str) -> str:
        return host if host in hosts and telemetry.dropping() else original(host)

    return gethostbyname


boundary = Socket()
