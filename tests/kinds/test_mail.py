"""The kind mail: what counts as the same mail, what is an effect, what is shown and searched."""

from __future__ import annotations

from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from pytest_fluxrun.kinds.mail import MAIL
from pytest_fluxrun.registry import kind_named

HEAD = "From: shop@example.org\nTo: ann@example.org\nSubject: Welcome\n"


def request(message: bytes | str = f"{HEAD}\nHello\n", **more: Any) -> dict[str, Any]:
    data = message.encode() if isinstance(message, str) else message
    return {"command": "send", "from": "shop@example.org", "to": ["ann@example.org"], "message": data, **more}


def two_parts(boundary: str, text: str = "Grüße", charset: str = "utf-8") -> bytes:
    mail = MIMEMultipart("alternative", boundary=boundary)
    mail["Subject"] = "Welcome"
    mail.attach(MIMEText(text, "plain", charset))
    mail.attach(MIMEText(f"<p>{text}</p>", "html", charset))
    return mail.as_bytes()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request(), request(f"{HEAD}\nHello\n".replace("\n", "\r\n"))),
        (request(to=["a@x", "b@x"]), request(to=["b@x", "a@x"])),
        (request(two_parts("one")), request(two_parts("other"))),
        (request(two_parts("one")), request(two_parts("one", charset="latin-1"))),
        (request("subject: Welcome\n\n"), request("Subject:  Welcome\n\n")),
        (request("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n"), request("Subject: =?utf-8?b?R3LDvMOfZQ==?=\n\n")),
        (request("Message-ID: <17.41.99@web>\n\n"), request("Message-ID: <17.52.99@web>\n\n")),
        (request("X: 1\n\n"), request("X: 1\ntraceparent: 00-1\n\n")),
        ({"command": "ehlo", "argument": "web"}, {"command": "ehlo", "argument": "laptop"}),
    ],
    ids=["line ends", "order", "boundary", "encoding", "case", "encoded", "process", "trace", "machine"],
)
def test_what_is_folded_is_no_difference(one: Any, other: Any) -> None:
    """Two ways to say the same."""
    assert MAIL.canonical(one) == MAIL.canonical(other)
    assert [] == MAIL.differences(one, other)


@pytest.mark.parametrize(
    ("other", "path"),
    [
        (request(**{"from": "eve@example.org"}), "request.from"),
        (request(to=["bob@example.org"]), "request.to[0]"),
        (request(options=["notify=never"]), "request.options"),
        (request(f"{HEAD}\nGood bye\n"), "request.parts[0].content"),
        (request(f"{HEAD}\nHello\n".replace("Welcome", "Bye")), "request.subject"),
        (request(f"{HEAD}Cc: bob@example.org\n\nHello\n"), "request.headers.cc"),
        (request(f"{HEAD}Content-Type: text/html\n\nHello\n"), "request.parts[0].type"),
    ],
)
def test_everything_else_is_a_difference_with_a_path(other: Any, path: str) -> None:
    """Envelope, subject, headers and parts count, and are named."""
    one = request()

    assert MAIL.canonical(one) != MAIL.canonical(other)
    assert [path] == [difference.path for difference in MAIL.differences(one, other)]


def test_part_is_named_by_its_place() -> None:
    """Both texts of an alternative differ, decoded."""
    found = MAIL.differences(request(two_parts("one")), request(two_parts("other", "Tschüß")))

    assert ["request.parts[0].content", "request.parts[1].content"] == [difference.path for difference in found]
    assert "Tschüß" == found[0].asked


def test_only_a_mail_is_an_effect() -> None:
    """Connecting, greeting and resetting change nothing."""
    assert MAIL.is_effect(request())
    assert not MAIL.is_effect({"command": "connect", "argument": "mail.example:25"})
    assert "connect mail.example:25" == MAIL.operation({"command": "connect", "argument": "mail.example:25"})
    assert "connect" == MAIL.shape({"command": "connect", "argument": "mail.example:25"})
    assert ("send", "send") == (MAIL.operation(request()), MAIL.shape(request()))


def test_mail_and_command_differ_by_command() -> None:
    """A mail where something else was asked."""
    found = MAIL.differences({"command": "noop", "argument": ""}, request())

    assert ["request.command", "request.argument"] == [difference.path for difference in found]


def test_text_is_one_line() -> None:
    """Subject, sender and recipients; long ones are cut."""
    assert 'send "Welcome" from shop@example.org to ann@example.org' == MAIL.text(request())
    assert "rcpt TO:<a@x>" == MAIL.text({"command": "rcpt", "argument": "TO:<a@x>"})
    assert 200 == len(MAIL.text(request(to=["ann@example.org"] * 50)))


def test_headers_and_json_parts_are_judged_by_name() -> None:
    """What redaction looks at; nothing of a command."""
    mail = 'Subject: x\nX-Api-Key: 1\nContent-Type: application/json\n\n{"user": {"password": "p"}}\n'

    assert [("subject", "x"), ("x-api-key", "1"), ("user.password", "p")] == list(
        MAIL.named_values(request(mail), None)
    )
    assert [] == list(MAIL.named_values({"command": "noop", "argument": ""}, None))


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xfe no headers at all",
        b"Subject: =?nowhere?b?!!?=\n\n\xff",
        b"Content-Type: text/plain; charset=nowhere\n\n\xe4",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nunfinished",
        b"Content-Type: application/json\n\n{",
        b"",
    ],
)
def test_broken_mail_is_compared_all_the_same(message: bytes) -> None:
    """What no parser understands has a canonical form, a text, and no difference to itself."""
    one = request(message)

    assert MAIL.canonical(one) == MAIL.canonical(request(message))
    assert [] == MAIL.differences(one, request(message))
    assert 1 == len(MAIL.text(one).splitlines())
    assert list(MAIL.named_values(one, None)) is not None


def test_kind_is_registered() -> None:
    """By its file."""
    assert kind_named("mail") is MAIL
