"""Secrets occur in no stored byte and in no line that pytest prints, however loud and whatever goes wrong."""

from __future__ import annotations

import base64
import json
import urllib.parse
from pathlib import Path

import pytest

from pytest_fluxrun.bundle import Algorithm, ProjectKey, open_bundle, read_trust, write_project_key
from tests.plugin.kiosk import Kiosk, Suite, Upstream

_PLANTED = {
    "header": "s3cret/header+7f3a9c11",
    "basic": "s3cret-basic-52b1e0aa",
    "cookie": "s3cret-cookie-90d2c4e7",
    "sent": "s3cret json&sent=8841fe",
    "answered": "s3cret-answered-1b7d66",
    "environment": "s3cret-environment-c0ffee",
    "argument": "s3cret/argument?77aa31",
}

_SERVICE = """\
import os

import httpx

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")


@fluxrun.capture("login")
def login(user, password):
    api_key = os.environ["KIOSK_API_KEY"]
    answer = httpx.post(
        os.environ["UPSTREAM"] + "/login",
        headers={"Authorization": "Bearer " + HEADER, "X-Api-Key": api_key},
        cookies={"session": COOKIE},
        json={"user": user, "password": password, "client_secret": SENT},
    )
    httpx.get(os.environ["UPSTREAM"] + "/again", auth=("someone", BASIC))
    access_token = answer.json()["access_token"]
    local_secret = {"password": password, "token": access_token}
    raise PermissionError(f"{user} may not: {len(local_secret)}")
"""
_RECORD = """\
import contextlib, json, os, sys
import service
service.HEADER, service.COOKIE, service.SENT, service.BASIC = json.loads(os.environ.pop("PLANTED"))
with contextlib.suppress(PermissionError):
    service.login("someone", password=os.environ.pop("ARGUMENT"))
assert service.fluxrun.flush(20)
"""
_LOUD = ("-vv", "--showlocals", "-rA", "--tb=long", "-s", "--log-level=DEBUG")


@pytest.fixture
def planted(kiosk: Kiosk, upstream: Upstream) -> Kiosk:
    """A run through which every secret has gone; the program that replays it knows none of them any more."""
    kiosk.keep_only()
    kiosk.write("service.py", _SERVICE)
    upstream.body = b'{"rate": 3, "access_token": "%s"}' % _PLANTED["answered"].encode()
    upstream.headers = {"Set-Cookie": f"session={_PLANTED['cookie']}; Path=/"}
    done = kiosk.python(
        "-c",
        _RECORD,
        UPSTREAM=upstream.url,
        FLUXRUN_TOKEN=kiosk.token.to_text(),
        KIOSK_API_KEY=_PLANTED["environment"],
        PLANTED=json.dumps([_PLANTED[name] for name in ("header", "cookie", "sent", "basic")]),
        ARGUMENT=_PLANTED["argument"],
    )
    assert done.returncode == 0, done.stdout
    assert 1 == len(kiosk.bundles()), done.stdout
    kiosk.edit("service.py", "\n\n@fluxrun", '\nHEADER = COOKIE = SENT = BASIC = "other"\n\n\n@fluxrun')
    return kiosk


def _forms(kiosk: Kiosk) -> dict[str, bytes]:
    """Every text that must not occur, in the forms in which it might."""
    forms = {}
    for name, secret in (_PLANTED | {"key": kiosk.key.to_text(), "token": kiosk.token.to_text()}).items():
        forms[name] = secret.encode()
        forms[f"{name} quoted"] = urllib.parse.quote(secret, safe="").encode()
        forms[f"{name} base64"] = base64.b64encode(secret.encode()).rstrip(b"=")
        forms[f"{name} base64url"] = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=")
    forms["basic header"] = base64.b64encode(f"someone:{_PLANTED['basic']}".encode()).rstrip(b"=")
    forms["first word of a passphrase"] = _PLANTED["sent"].split()[0].encode() + b" "
    forms["key secret"] = kiosk.key.to_text().rsplit("-", 1)[-1].encode()
    return forms


def _assert_clean(kiosk: Kiosk, suite: Suite) -> None:
    printed = (suite.output + suite.junit).encode()
    files = [path for path in kiosk.root.rglob("*") if path.is_file()]
    stored = b"\n".join(path.read_bytes() for path in files)
    found = [name for name, form in _forms(kiosk).items() if form in printed or form in stored]
    assert [] == found


def test_red_run_shows_no_secret(planted: Kiosk) -> None:
    """The recorded failure again, as loud as pytest can be."""
    suite = planted.replay(*_LOUD)

    assert "failed" == suite.case("login").result, suite.output
    _assert_clean(planted, suite)


def test_decrypted_run_holds_no_secret(planted: Kiosk) -> None:
    """Redaction came before sealing: with the key, too, there is nothing to find."""
    _, payload = open_bundle(
        planted.bundle("login").read_bytes(),
        keys=(planted.key,),
        trust=read_trust(planted.root / "fluxrun-trust.toml"),
    )

    found = [name for name, form in _forms(planted).items() if form in bytes(payload)]
    assert [] == found


def test_changed_run_shows_no_secret(planted: Kiosk) -> None:
    """A changed call, whose message quotes requests."""
    planted.edit("service.py", '"user": user', '"user": user + "!"')

    suite = planted.replay(*_LOUD)

    assert "failed" == suite.case("login").result
    _assert_clean(planted, suite)


def test_crashing_replay_shows_no_secret(planted: Kiosk) -> None:
    """An unrecorded call, confirmed in a clean process."""
    planted.edit("service.py", "/login", "/elsewhere")

    suite = planted.pytest("--fluxrun-dir=runs", *_LOUD)

    assert "diverged" == suite.case("login").verdict, suite.output
    _assert_clean(planted, suite)


def _damage(kiosk: Kiosk, bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-1])


def _other_key(kiosk: Kiosk, bundle: Path) -> None:
    key_file = kiosk.root.parent / "config" / "fluxrun" / "kiosk.key"
    key_file.unlink()
    write_project_key(key_file, ProjectKey.generate(Algorithm.X25519))


@pytest.mark.parametrize("spoil", [_damage, _other_key])
def test_unready_run_shows_no_secret(planted: Kiosk, spoil: object) -> None:
    """A damaged bundle, a wrong key; the right key and the token are in the environment."""
    spoil(planted, planted.bundle("login"))
    variables = {} if spoil is _other_key else {"FLUXRUN_PROJECT_KEY": planted.key.to_text()}

    suite = planted.replay(*_LOUD, FLUXRUN_TOKEN=planted.token.to_text(), **variables)

    assert "error" == suite.case("login").result
    _assert_clean(planted, suite)


def test_failing_test_with_the_fixture_shows_no_key(planted: Kiosk) -> None:
    """A failing test of the user's own, with locals, while key and token are in the environment."""
    run = planted.bundle("login").stem[-26:]
    planted.write(
        "test_own.py",
        f"import pytest\n@pytest.mark.fluxrun({run!r})\ndef test_it(fluxrun_replay, request):\n"
        "    config = request.config\n    assert not fluxrun_replay.error\n",
    )

    suite = planted.replay(
        "test_own.py",
        *_LOUD,
        FLUXRUN_TOKEN=planted.token.to_text(),
        FLUXRUN_PROJECT_KEY=planted.key.to_text(),
    )

    assert "failed" == suite.case("test_it").result
    _assert_clean(planted, suite)
