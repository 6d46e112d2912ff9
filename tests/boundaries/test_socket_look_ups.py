"""socket's look-ups: what the DNS said of a name, and what the machine is called, are given back in a replay."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import socket as socket_boundary
from pytest_fluxrun.context import beneath
from tests.boundaries.read_runs import record, replay

ADDRESS = "192.0.2.7"
FOUND = [
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESS, 443)),
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", 443, 0, 0)),
    (4711, 4712, 0, "", (ADDRESS, 443)),
]
ANSWERS: dict[str, Any] = {
    "gethostname": "web-7",
    "gethostbyname": ADDRESS,
    "gethostbyname_ex": ("pay.example", ["www.pay.example"], [ADDRESS]),
    "gethostbyaddr": ("web-7.example.org", [], [ADDRESS]),
    "getnameinfo": ("web-7.example.org", "https"),
    "getaddrinfo": FOUND,
}
ASKED: dict[str, Callable[[], Any]] = {
    "gethostname": lambda: socket.gethostname(),
    "gethostbyname": lambda: socket.gethostbyname("pay.example"),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex("pay.example"),
    "gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
    "getnameinfo": lambda: socket.getnameinfo((ADDRESS, 443), 0),
    "getaddrinfo": lambda: socket.getaddrinfo("pay.example", 443, type=socket.SOCK_STREAM),
}
"""Through the module, where the seams are."""


class Resolver:
    """Stands for the DNS of a machine: answers each function of the module, or fails."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: OSError | None = None

    def answering(self, name: str) -> Callable[..., Any]:
        def answer(*_: Any, **__: Any) -> Any:
            self.calls += 1
            if self.error is not None:
                raise self.error
            return ANSWERS[name]

        answer.__name__ = name
        return answer


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """Beneath the seams; no name is ever asked for on the network."""
    found = Resolver()
    for name in ANSWERS:
        monkeypatch.setattr(socket, name, found.answering(name))
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(socket_boundary.boundary.patches(socket))
    yield found
    patching.restore_all()
    patching.install(others)


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_given_back_and_nobody_is_asked(resolver: Resolver, name: str) -> None:
    """Each with the types of the live one."""
    given, recording = record(ASKED[name])
    again = replay(ASKED[name], recording)

    assert ANSWERS[name] == given == again
    assert [type(part) for found in _rows(given) for part in found] == [
        type(part) for found in _rows(again) for part in found
    ]
    assert 1 == resolver.calls


def _rows(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [[answer]]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), socket.herror(1, "Unknown host")])
def test_errors_are_given_back(resolver: Resolver, error: OSError) -> None:
    """Of the same type, with its number and text."""
    resolver.error = error

    def ask() -> Any:
        try:
            return socket.gethostbyaddr("web-7")
        except OSError as raised:
            return type(raised), raised.args

    given, recording = record(ask)

    assert (type(error), error.args) == given == replay(ask, recording)
    assert 1 == resolver.calls


def test_a_recorded_program_gets_what_the_machine_said_itself(resolver: Resolver) -> None:
    """The very answer, and the very error: recording changes nothing, also where nobody records."""
    given, _ = record(ASKED["getaddrinfo"])
    resolver.error = socket.gaierror(-2, "Name or service not known")

    def raised() -> BaseException:
        with pytest.raises(socket.gaierror) as caught:
            ASKED["getaddrinfo"]()
        return caught.value

    assert given is FOUND
    assert raised() is resolver.error
    assert record(raised)[0] is resolver.error


def test_own_full_name_is_what_it_was(resolver: Resolver) -> None:
    """It is made of the machine's name and of what the DNS says of that: mails carry it in their ids."""
    given, recording = record(socket.getfqdn)

    assert "web-7.example.org" == given == replay(socket.getfqdn, recording)


def test_own_name_that_a_run_did_not_look_up_is_no_question(resolver: Resolver) -> None:
    """Fixed code that sends a mail has smtplib ask what this machine is called: the DNS isn't asked at replay."""
    _, recording = record(lambda: None)
    found = replay(lambda: (socket.gethostbyaddr("web-7"), socket.gethostbyname("web-7")), recording)

    assert (("web-7", [], ["127.0.0.1"]), "127.0.0.1") == found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "", None])
def test_what_asks_nobody_is_recorded_nowhere(resolver: Resolver, host: str | None) -> None:
    """Addresses and this machine: servers and pools look them up all the time."""
    given, recording = record(lambda: socket.getaddrinfo(host, 80))

    assert FOUND == given
    assert {} == recording.reads


def test_what_a_call_looks_up_belongs_to_the_call(resolver: Resolver) -> None:
    """A library's connecting is no read of the app's, and neither is anything outside of runs."""

    def within_a_call() -> Any:
        with beneath():
            return ASKED["getaddrinfo"]()

    _, recording = record(within_a_call)

    assert {} == recording.reads
    assert FOUND == ASKED["getaddrinfo"]()
