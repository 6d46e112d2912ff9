"""smtplib's boundary against a real server: mails, their steps by hand, refusals, logins, and servers that go away."""

from __future__ import annotations

import _thread
import contextlib
import smtplib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from email.message import EmailMessage
from importlib import import_module
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.smtplib import boundary
from pytest_fluxrun.boundaries.threading import boundary as threads
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.mail import MAIL
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from pytest_fluxrun.testing.sessions import JumpingClock, MemoryRecorder, MemoryReplayer
from pytest_fluxrun.values import decode
from tests.boundaries.mail_server import MailServer
from tests.boundaries.read_runs import record, replay
from tests.django_settings import configure

SHOP, ANN, BOB = "shop@example.org", "ann@example.org", "bob@example.org"
TEXT = "From: shop@example.org\nTo: ann@example.org\nSubject: Welcome\n\nHello\n.\nend"


@pytest.fixture
def outside() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


def client(server: MailServer) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", server.port, local_hostname="web", timeout=10)


def message(subject: str = "Welcome", to: str = ANN) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = SHOP, to, subject
    made.set_content("Hello\n")
    return made


def within(use: Callable[[smtplib.SMTP], Any]) -> Callable[[MailServer], Any]:
    """An exercise over a connection that is closed in the end."""

    def exercise(server: MailServer) -> Any:
        with client(server) as connection:
            return use(connection)

    return exercise


def failing(use: Callable[[smtplib.SMTP], Any]) -> Callable[[MailServer], Any]:
    """An exercise that fails: with its error's attributes, and whether the connection outlives it."""

    def exercise(server: MailServer) -> Any:
        with client(server) as connection:
            try:
                return use(connection)
            except smtplib.SMTPException as error:
                return type(error), error.args, dict(vars(error)), connection.sock is None

    return exercise


def attached(connection: smtplib.SMTP) -> Any:
    mail = message()
    mail.add_alternative("<p>Hello</p>", subtype="html")
    mail.add_attachment(b"\x00\xff", maintype="application", subtype="octet-stream", filename="a.bin")
    return connection.send_message(mail)


def international(connection: smtplib.SMTP) -> Any:
    return connection.send_message(message("Grüße", to="jörg@example.org"))


def by_hand(connection: smtplib.SMTP) -> Any:
    return [
        connection.ehlo(),
        connection.mail(SHOP, ["SIZE=100"]),
        connection.rcpt("unknown@example.org"),
        connection.rcpt(ANN),
        connection.data(TEXT),
        connection.rset(),
    ]


def raw(connection: smtplib.SMTP) -> Any:
    said = [connection.docmd("EHLO", "web"), connection.docmd(f"MAIL FROM:<{SHOP}>")]
    said += [connection.docmd("RCPT", f"TO:<{ANN}>"), connection.docmd("DATA")]
    connection.send(b"Subject: raw\r\n\r\n..dotted\r\n")
    connection.send(b".\r\n")
    return [*said, connection.getreply()]


def login_by_hand(connection: smtplib.SMTP) -> Any:
    connection.ehlo()
    return [connection.docmd("AUTH", "LOGIN"), connection.docmd("c2hvcA=="), connection.docmd("czNjcmV0")]


def asked(connection: smtplib.SMTP) -> Any:
    said = [connection.ehlo(), connection.esmtp_features, connection.has_extn("smtputf8"), connection.verify(ANN)]
    return [*said, connection.help(), connection.noop(), connection.docmd("ETRN", "example.org")]


def quit_and_again(server: MailServer) -> Any:
    connection = client(server)
    said = [connection.noop(), connection.quit(), connection.sock]
    try:
        connection.noop()
    except smtplib.SMTPServerDisconnected as error:
        said.append(str(error))
    said.append(connection.connect("127.0.0.1", server.port))
    return [*said, connection.sendmail(SHOP, ANN, TEXT), connection.quit()]


def encrypted(server: MailServer) -> Any:
    with client(server) as connection:
        before = dict(connection.esmtp_features)
        said = connection.starttls(context=server.trust())
        after = dict(connection.esmtp_features)
        return [before, said, after, connection.login("shop", "s3cret"), connection.sendmail(SHOP, ANN, TEXT)]


def untrusted(server: MailServer) -> Any:
    with client(server) as connection:
        connection.starttls(context=smtplib.ssl.create_default_context())


def over_tls(server: MailServer) -> Any:
    with smtplib.SMTP_SSL("127.0.0.1", server.secure, local_hostname="web", context=server.trust()) as connection:
        return connection.send_message(message()), connection.user if hasattr(connection, "user") else None


def over_lmtp(server: MailServer) -> Any:
    with smtplib.LMTP("127.0.0.1", server.local, local_hostname="web") as connection:
        return connection.sendmail(SHOP, [ANN], TEXT), connection.esmtp_features


def refused_connection(server: MailServer) -> Any:
    smtplib.SMTP("127.0.0.1", server.free, local_hostname="web")


def wrong_port(_: MailServer) -> Any:
    smtplib.SMTP("127.0.0.1:smtp!", local_hostname="web")


def sending(server: MailServer, said: list[Any]) -> Callable[[], None]:
    """What a thread does: an error that a replay raises in it is the test's affair."""

    def run() -> None:
        with contextlib.suppress(UnrecordedCall):
            said.append(within(lambda c: c.send_message(message()))(server))

    return run


def over_django(server: MailServer) -> Any:
    configure()
    mail = import_module("django.core.mail")
    smtp = import_module("django.core.mail.backends.smtp")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Django 6.1 would rather make its backends itself
        backend = smtp.EmailBackend(
            host="127.0.0.1",
            port=server.port,
            username="shop",
            password="s3cret",
            use_tls=False,
            use_ssl=False,
            timeout=10,
        )
    headers = {"Message-ID": "<1@example.org>", "Date": "Mon, 04 May 2026 10:00:00 +0000"}
    made = [
        mail.EmailMultiAlternatives(f"no. {number}", "Hello", SHOP, [ANN], cc=[BOB], headers=headers)
        for number in range(2)
    ]
    made[0].attach_alternative("<p>Hello</p>", "text/html")
    made[1].attach("a.csv", "a;b", "text/csv")
    made.append(mail.EmailMessage("no. 3", "Hello", "refused@example.org", [ANN], headers=headers))
    try:
        return backend.send_messages(made[:2]), backend.send_messages(made[2:])
    except smtplib.SMTPSenderRefused as error:
        return error.args


def from_a_thread(server: MailServer) -> Any:
    said: list[Any] = []
    thread = threading.Thread(target=sending(server, said))
    thread.start()
    thread.join()
    return said


def from_a_bare_thread(server: MailServer) -> Any:
    said: list[Any] = []
    done = threading.Event()

    def run() -> None:
        try:
            sending(server, said)()
        finally:
            done.set()

    _thread.start_new_thread(run, ())  # it carries the lane too
    done.wait()
    return said


EXERCISES: dict[str, Exercise] = {
    "sendmail": within(lambda c: c.sendmail(SHOP, [ANN, BOB], TEXT)),
    "one recipient, bytes": within(lambda c: c.sendmail(SHOP, ANN, TEXT.encode())),
    "send_message": within(lambda c: c.send_message(message())),
    "alternatives and attachment": within(attached),
    "international address": within(international),
    "options": within(lambda c: c.sendmail(SHOP, ANN, TEXT, ["BODY=8BITMIME"])),
    "several mails over one connection": within(lambda c: [c.send_message(message(f"no. {n}")) for n in range(3)]),
    "some recipients refused": within(lambda c: c.sendmail(SHOP, [ANN, "unknown@example.org"], TEXT)),
    "all recipients refused": failing(lambda c: c.sendmail(SHOP, ["unknown@example.org"], TEXT)),
    "sender refused": failing(lambda c: c.sendmail("refused@example.org", ANN, TEXT)),
    "data refused": failing(lambda c: c.sendmail(SHOP, ANN, TEXT.replace("Welcome", "spam"))),
    "message too large": failing(lambda c: c.sendmail(SHOP, ANN, TEXT + "x\n" * 60_000)),
    "server busy": failing(lambda c: c.sendmail("busy@example.org", ANN, TEXT)),
    "server busy at a recipient": failing(lambda c: c.sendmail(SHOP, [ANN, "busy@example.org"], TEXT)),
    "server gone at MAIL": failing(lambda c: c.sendmail("drop@example.org", ANN, TEXT)),
    "server gone after the message": failing(lambda c: c.sendmail(SHOP, ANN, TEXT.replace("Welcome", "hang up"))),
    "mail after a refused one": within(
        lambda c: [failing(lambda _: c.sendmail("refused@example.org", ANN, TEXT)), c.sendmail(SHOP, ANN, TEXT)][1:]
    ),
    "not ASCII": failing(lambda c: c.sendmail(SHOP, "jörg@example.org", TEXT)),
    "login": within(lambda c: [c.login("shop", "s3cret"), c.sendmail(SHOP, ANN, TEXT)]),
    "wrong password": failing(lambda c: c.login("shop", "wrong")),
    "STARTTLS": encrypted,
    "certificate not trusted": untrusted,
    "SMTP_SSL": over_tls,
    "LMTP": over_lmtp,
    "connection refused": refused_connection,
    "not a port": wrong_port,
    "MAIL, RCPT and DATA by hand": within(by_hand),
    "commands and bytes by hand": within(raw),
    "AUTH by hand": within(login_by_hand),
    "what the server can": within(asked),
    "quit and connect again": quit_and_again,
    "Django's EmailBackend": over_django,
    "in a thread": from_a_thread,
    "in a bare _thread": from_a_bare_thread,
}


class TestSmtplib(BoundaryContract):
    subject = "smtplib"
    library = "python"
    boundary = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (threads,)
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    local: ClassVar[frozenset[str]] = frozenset(
        {"wrong password", "certificate not trusted", "AUTH by hand", "connection refused", "not a port"}
    )
    unreached: ClassVar[frozenset[str]] = frozenset({"connection refused", "not a port"})


@pytest.fixture
def _seams() -> Iterator[None]:
    """Its seams, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(boundary.patches(smtplib))
    yield
    patching.restore_all()
    patching.install(others)


def recorded(use: Callable[[smtplib.SMTP], Any], server: MailServer) -> MemoryRecorder:
    recorder = MemoryRecorder()
    with recorder.open():
        within(use)(server)
    return recorder


@pytest.mark.usefixtures("_seams")
def test_password_is_in_no_request(outside: MailServer) -> None:
    """Neither as it is nor as AUTH sends it, by `login` or by hand."""
    for use in (lambda c: c.login("shop", "s3cret"), login_by_hand, lambda c: c.docmd("AUTH PLAIN AHNob3AAczNjcmV0")):
        told = repr([one.request for one in recorded(use, outside).finish()])

        assert "auth" in told or "login" in told
        assert not [form for form in ("s3cret", "czNjcmV0", "c2hvcA") if form in told]


@pytest.mark.usefixtures("_seams")
def test_mail_is_one_effect(outside: MailServer) -> None:
    """What leads to it is none, and by hand it is the same mail."""
    sent = recorded(lambda c: c.sendmail(SHOP, [ANN, BOB], TEXT), outside).finish()
    hand = recorded(
        lambda c: [c.ehlo(), c.mail(SHOP), c.rcpt(BOB), c.rcpt("unknown@example.org"), c.rcpt(ANN), c.data(TEXT)],
        outside,
    ).finish()

    (mail,) = [one.request for one in sent if MAIL.is_effect(decode(one.request))]
    (by_steps,) = [one.request for one in hand if MAIL.is_effect(decode(one.request))]
    assert MAIL.canonical(decode(mail)) == MAIL.canonical(decode(by_steps))
    assert 2 == len(outside.handler.mails)


@pytest.mark.usefixtures("_seams")
def test_connection_from_before_the_replay_sends_nothing(outside: MailServer) -> None:
    """What the app connected at import stays silent inside a replay, and is closed when the app closes it."""
    connection = client(outside)
    connection.ehlo()
    recorder = MemoryRecorder()
    with recorder.open():
        said = connection.sendmail(SHOP, ANN, TEXT), connection.has_extn("smtputf8")
    before = outside.calls()
    replayer = MemoryReplayer(recorder.finish())

    with replayer.open():
        again = connection.sendmail(SHOP, ANN, TEXT), connection.has_extn("smtputf8")
        connection.quit()

    assert said == again
    assert before == outside.calls()
    assert connection.sock is None


@pytest.mark.usefixtures("_seams")
def test_replay_connects_where_the_recorded_program_was_connected_already(outside: MailServer) -> None:
    """A pool that was full in production is empty at replay: the greeting that the run read is served."""
    connection = client(outside)
    connection.ehlo()
    known = connection.esmtp_features
    _, recording = record(lambda: connection.sendmail(SHOP, ANN, TEXT))
    connection.close()
    outside.take_away()

    def again() -> Any:
        with client(outside) as played:
            return played.sendmail(SHOP, ANN, TEXT), played.esmtp_features

    assert ({}, known) == replay(again, recording)


@pytest.mark.usefixtures("_seams")
def test_other_mail_is_refused(outside: MailServer) -> None:
    """The memory replayer relaxes nothing: a mail with another text isn't in the recording."""
    replayer = MemoryReplayer(recorded(lambda c: c.sendmail(SHOP, ANN, TEXT), outside).finish())

    with replayer.open(), pytest.raises(UnrecordedCall), client(outside) as connection:
        connection.sendmail(SHOP, ANN, TEXT.replace("Hello", "Good bye"))


@pytest.mark.usefixtures("_seams")
def test_bytes_past_the_library_are_refused(outside: MailServer) -> None:
    """The played connection's socket leads nowhere."""
    replayer = MemoryReplayer(recorded(lambda c: c.noop(), outside).finish(), clock=JumpingClock())

    with replayer.open(), client(outside) as connection, pytest.raises(UnrecordedCall, match="mail server"):
        connection.sock.sendall(b"NOOP\r\n")
