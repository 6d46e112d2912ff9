"""Webhooks with their providers' own libraries: verified again at replay, years later, without their secrets."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from slack_sdk.signature import SignatureVerifier
from svix import Webhook

from tests.scenarios.service import Project, Suite, recording_server

_HERE = Path(__file__).parent
_SETTINGS = """\
[tool.fluxrun]
project = "hooks"
modules = ["webhook_app"]
store = "runs"
"""
SECRETS = {
    "STRIPE_WEBHOOK_SECRET": "whsec_9f2Kq7LmXw4TzB1sVn8RcYp3HdJa6Ge5",
    "GITHUB_WEBHOOK_SECRET": 'it\'s a "long" sentence, not random',
    "SLACK_SIGNING_SECRET": "8f742231b10e8888abcd99yyyzzz85a5",
    "SVIX_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwbC0pRt1yHu8=",
}
_PLACEHOLDERS = {name: "whsec_" + base64.b64encode(bytes(32)).decode() for name in SECRETS}
"""What the developer's machine has in their place."""
EVENT = json.dumps({"id": "evt_1", "object": "event", "type": "invoice.paid", "data": {"object": {"n": 1}}}, indent=2)
_LATER = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += 5L * 366 * 24 * 3600;
    return done;
}
"""


def stripe_headers(body: str, secret: str = SECRETS["STRIPE_WEBHOOK_SECRET"], age_s: int = 0) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()) - age_s)
    return {"stripe-signature": header}


def github_headers(body: bytes, secret: str = SECRETS["GITHUB_WEBHOOK_SECRET"]) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def slack_headers(body: str, secret: str = SECRETS["SLACK_SIGNING_SECRET"], age_s: int = 0) -> dict[str, str]:
    at = str(int(time.time()) - age_s)
    signed = SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    return {"x-slack-request-timestamp": at, "x-slack-signature": str(signed)}


def svix_headers(body: str, secret: str = SECRETS["SVIX_SECRET"], age_s: int = 0) -> dict[str, str]:
    at = datetime.fromtimestamp(int(time.time()) - age_s, tz=UTC)
    signed = Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
    old = "v1," + base64.b64encode(bytes(32)).decode()  # of a key before the last rotation
    stamp = str(int(at.timestamp()))
    return {"svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "svix-timestamp": stamp, "svix-signature": f"{old} {signed}"}


_BINARY = bytes(range(256)) * 2 + b"\r\n\xff\xfe"
_LINES = b"payload=%7B%7D\r\nsecond line\r\n\n\r"
_GZIPPED = gzip.compress(b'{"a": 1}\r\n' * 50, mtime=0)
_OTHER_SVIX = "whsec_" + base64.b64encode(b"another key, of 32 bytes in all.").decode()
Delivery = tuple[str, bytes, dict[str, str], int]


def deliveries() -> Iterator[Delivery]:
    """Path, body, headers, expected status."""
    event, tampered = EVENT.encode(), EVENT.replace("1", "2").encode()
    form = "token=gIkuvaNzQIHg97ATvDxqgjtO&team_id=T1DC2JH3J&text=hello+world"
    yield "/stripe", event, stripe_headers(EVENT), 200
    yield "/stripe", tampered, stripe_headers(EVENT), 400
    yield "/stripe", event, stripe_headers(EVENT, "whsec_another"), 400
    yield "/stripe", event, stripe_headers(EVENT, age_s=301), 400
    yield "/stripe", event, {"stripe-signature": "nonsense"}, 400
    yield "/stripe", event, {}, 400
    yield "/stripe", _BINARY, stripe_headers(EVENT), 422
    yield "/github", event, github_headers(event), 200
    yield "/github", _BINARY, github_headers(_BINARY), 200
    yield "/github", _LINES, github_headers(_LINES), 200
    yield "/github", _GZIPPED, github_headers(_GZIPPED) | {"content-encoding": "gzip"}, 200
    yield "/github", b"", github_headers(b""), 200
    yield "/github", tampered, github_headers(event), 401
    yield "/github", event, github_headers(event, "another"), 401
    yield "/slack", form.encode(), slack_headers(form), 200
    yield "/slack", form.encode() + b"!", slack_headers(form), 403
    yield "/slack", form.encode(), slack_headers(form, "another"), 403
    yield "/slack", form.encode(), slack_headers(form, age_s=301), 403
    yield "/svix", event, svix_headers(EVENT), 200
    yield "/svix", tampered, svix_headers(EVENT), 400
    yield "/svix", event, svix_headers(EVENT, _OTHER_SVIX), 400
    yield "/svix", event, svix_headers(EVENT, age_s=301), 400


def record(root: Path) -> None:
    """Deliver everything to a server that records."""
    root.mkdir()
    project = Project(root)
    shutil.copy(_HERE / "webhook_app.py", root)
    (root / "pyproject.toml").write_text(_SETTINGS)
    project.fluxrun("init", "--yes")
    with recording_server(project, "webhook_app:app", **SECRETS) as url:
        for path, body, headers, status in deliveries():
            response = httpx.post(url + path, content=body, headers=headers)
            assert (path, status) == (path, response.status_code), response.text
    for placed in project.placed():
        project.guard(placed)


@pytest.fixture(scope="session")
def recorded(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The corpus, the server stopped."""
    return Project(once("webhooks", record))


@pytest.fixture(scope="session")
def replayed(recorded: Project, years_later: dict[str, str]) -> Suite:
    """The corpus replayed, with other secrets in the environment and the clock five years on."""
    return recorded.replay("-rA", **_PLACEHOLDERS, **years_later)


@pytest.fixture(scope="session")
def years_later(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process whose wall clock is five years ahead, below anything that Python could see."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the clock can't be set ahead below Python")
    base = tmp_path_factory.mktemp("later")
    (base / "later.c").write_text(_LATER)
    library = base / "later.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(base / "later.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return {"LD_PRELOAD": str(library)}


def test_the_clock_of_the_replay_is_years_ahead(recorded: Project, years_later: dict[str, str]) -> None:
    """So that no verification passes for want of time."""
    done = recorded.python("-c", "import time; print(time.time())", **years_later)
    assert float(done.stdout) > time.time() + 5 * 365 * 24 * 3600


def test_every_delivery_replays_to_its_own_outcome(recorded: Project, replayed: Suite) -> None:
    """The genuine ones pass, the tampered, foreign and late ones are refused again, each with its own words."""
    assert 0 == replayed.exit_code, replayed.output
    assert {"match": len(recorded.placed())} == replayed.verdicts


def test_no_stored_byte_and_no_output_holds_a_secret(recorded: Project, replayed: Suite) -> None:
    """Not in the bundles, not in the runs opened with the key, not in what pytest and the commands print."""
    runs = recorded.open()
    stored = b"".join(path.read_bytes() for path in recorded.runs.iterdir())
    opened = b"".join(run.to_payload() for run in runs.values())
    shown = "".join(recorded.fluxrun("show", run.id, "--values") for run in list(runs.values())[:3])
    told = [stored, opened, shown.encode(), replayed.output.encode()]

    for secret in SECRETS.values():
        for form in (secret, json.dumps(secret)[1:-1], secret.removeprefix("whsec_"), secret.encode().hex()):
            assert [False] * 4 == [form.encode() in text for text in told], form


def test_what_was_verified_against_a_redacted_secret_is_served_and_noted(recorded: Project) -> None:
    """One note for each place; a delivery that was refused before any comparison has none."""
    served: dict[str, set[bool]] = {}
    for run in recorded.open().values():
        path: Any = run.input["scope"]["path"]
        told = recorded.python("-m", "pytest_fluxrun", "replay", run.id, **_PLACEHOLDERS).stdout
        served.setdefault(f"{path} {run.outcome['response']['status']}", set()).add("verification-served" in told)

    assert {True} == served["/stripe 200"] == served["/github 200"] == served["/slack 200"] == served["/svix 200"]
    assert {True} == served["/github 401"]
    assert {False} == served["/stripe 422"]


def test_bodies_survive_byte_for_byte(recorded: Project) -> None:
    """What holds no secret is stored as it came: binary, gzip, CR LF, nothing."""
    bodies = {
        bytes_of(run.input["events"]) for run in recorded.open().values() if run.input["scope"]["path"] == "/github"
    }
    assert {_BINARY, _LINES, _GZIPPED, b"", EVENT.encode()} <= bodies


def bytes_of(events: Any) -> bytes:
    """The request body in a run's events."""
    pieces = [event[2] for event in events if event[1] == "http.request"]
    return b"".join(piece.encode() if isinstance(piece, str) else base64.b64decode(piece["v"]) for piece in pieces)
