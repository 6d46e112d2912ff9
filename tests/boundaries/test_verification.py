"""hmac.compare_digest without the C extension: each result goes to the lane, and may come from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import itsdangerous
import pytest

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.verification import boundary
from pytest_fluxrun.config import Settings, use_settings
from pytest_fluxrun.context import LANE
from pytest_fluxrun.drift import DriftKind
from tests.ambient_runs import record, replay
from tests.boundaries.sessions import Record, Recorder, seams, session


@pytest.fixture
def pure() -> Iterator[None]:
    """Settings that leave the C extension out, and none left installed that would report too."""
    ambient.uninstall()
    use_settings(Settings(pure=True))
    yield
    use_settings(None)


@contextmanager
def native() -> Iterator[None]:
    """The C extension, where there is one, for the block."""
    ambient.install()
    try:
        yield
    finally:
        ambient.uninstall()


@pytest.mark.usefixtures("pure")
@pytest.mark.parametrize("module", [hmac, secrets], ids=["hmac", "secrets"])
def test_results_go_to_the_lane(module: Any) -> None:
    """Function, code and result, as the C extension reports them; outside a run nothing happens."""
    reads: list[Any] = []
    with seams(boundary, hmac, secrets), session(Recorder(Record())):
        LANE.get().ambient = reads
        results = [module.compare_digest("a", "a"), module.compare_digest(b"a", b"b")]
        LANE.get().ambient = None
        results.append(module.compare_digest("a", "a"))

    assert results == [True, False, True]
    assert [(read[0], read[1].co_name, read[3]) for read in reads] == [
        ("hmac.compare_digest", "test_results_go_to_the_lane", True),
        ("hmac.compare_digest", "test_results_go_to_the_lane", False),
    ]


@pytest.mark.usefixtures("pure")
def test_a_replay_answers_for_tokens_only() -> None:
    """The replay is asked with both operands; NotImplemented makes the comparison real."""
    asked: list[tuple[Any, ...]] = []

    def ambient(*question: Any) -> Any:
        asked.append(question)
        return True if "fx1234567" in question else NotImplemented

    with seams(boundary, hmac), session(Recorder(Record())):
        LANE.get().ambient = ambient
        results = [hmac.compare_digest("fx1234567", "real"), hmac.compare_digest("a", "b")]

    assert results == [True, False]
    assert asked == [("hmac.compare_digest", "fx1234567", "real"), ("hmac.compare_digest", "a", "b")]


def test_the_extension_makes_the_seam_needless() -> None:
    """Where it interposes the C function, `compare_digest` isn't patched."""
    pytest.importorskip("pytest_fluxrun._ambient", reason="the C extension isn't built here")
    use_settings(Settings())
    try:
        assert "compare_digest" not in [patch.attribute for patch in boundary.patches(hmac)]
    finally:
        use_settings(None)


KEY = b"the app's own key"
MADE: dict[str, Callable[[bytes], Any]] = {
    "hmac": lambda secret: hmac.new(KEY, secret, "sha256").hexdigest(),
    "hmac-key": lambda secret: hmac.new(secret, b"message", hashlib.sha256).digest(),
    "hmac-updated": lambda secret: _updated(secret).digest(),
    "hmac-copied": lambda secret: _updated(secret).copy().hexdigest(),
    "one-shot": lambda secret: base64.b64encode(hmac.digest(KEY, secret, "sha256")).decode(),
    "pbkdf2": lambda secret: hashlib.pbkdf2_hmac("sha256", secret, b"salt", 10),
    "pbkdf2-named": lambda secret: hashlib.pbkdf2_hmac("sha256", password=secret, salt=b"salt", iterations=10).hex(),
    "scrypt": lambda secret: hashlib.scrypt(secret, salt=b"salt", n=2, r=1, p=1),
    "twice": lambda secret: hmac.new(KEY, hmac.digest(KEY, secret, "sha256"), "sha256").digest(),
    "hash": lambda secret: hashlib.sha1(b"salt" + secret).hexdigest(),
    "hash-by-name": lambda secret: hashlib.new("sha256", secret).digest(),
    "hash-updated": lambda secret: _hashed(secret).digest(),
    "hash-copied": lambda secret: _hashed(secret).copy().hexdigest(),
    "hash-of-a-length": lambda secret: hashlib.shake_128(secret).digest(32),
    "hmac-by-own-hash": lambda secret: hmac.new(KEY, secret, lambda: hashlib.sha256()).digest(),
    "derived-key": lambda secret: hmac.new(hashlib.sha1(secret).digest(), b"message", hashlib.sha1).digest(),
    "itsdangerous": lambda secret: itsdangerous.Signer(secret).get_signature(b"message"),
}


def _hashed(secret: bytes) -> Any:
    made = hashlib.sha256()
    made.update(secret[:4])
    made.update(memoryview(secret)[4:])
    return made


def _updated(secret: bytes) -> hmac.HMAC:
    made = hmac.new(KEY, None, "sha256")
    made.update(secret[:4])
    made.update(secret[4:])
    return made


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_digest_of_a_token_is_no_longer_the_recorded_one(make: Callable[[bytes], Any]) -> None:
    """What a comparison of such a digest said is served, and noted; hashes by themselves are what they are live."""
    secret = [b"a password that is redacted"]
    stored = make(secret[0])
    token = "fx" + "0123456789abcdef" * 2

    def login() -> bool:
        return hmac.compare_digest(make(secret[0]), stored)

    with seams(boundary, hmac, hashlib), native():
        recorded, recording = record(login)
        secret[0] = token.encode()
        served = replay(recording, login, tokens=(token,))
        true = replay(recording, login, tokens=("fx-another-token",))
        made = replay(recording, lambda: make(secret[0]), tokens=(token,)).result

    assert recorded is True
    assert served.result is True
    assert [kind for kind, _ in served.drifts] == [DriftKind.VERIFICATION_SERVED]
    assert true.result is False
    assert made == make(secret[0])


def test_digest_of_other_material_is_compared_truly() -> None:
    """A changed message, signed with a key that was never redacted, is still refused at replay."""
    message = [b"pay 10"]
    stored = hmac.digest(KEY, message[0], "sha256")

    def verify() -> bool:
        return hmac.compare_digest(hmac.digest(KEY, message[0], "sha256"), stored)

    with seams(boundary, hmac, hashlib), native():
        _, recording = record(verify)
        message[0] = b"pay 10000"
        again = replay(recording, verify, tokens=("fx-some-token-of-the-run",))

    assert again.result is False
