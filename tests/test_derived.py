"""Digests that a replay made of redaction tokens: where texts show them, and what the recorded ones were."""

from __future__ import annotations

import base64
import hashlib

import pytest

from pytest_fluxrun.derived import Derived
from pytest_fluxrun.replaying.secret_operands import SecretOperands

TOKEN = "fx" + "0123456789abcdef" * 2
RECORDED, MADE = (hashlib.sha1(made).digest() for made in (b"a secret", TOKEN.encode()))
WRITTEN = {
    "hex": lambda digest: digest.hex(),
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "url-safe, unpadded": lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="),
    "every other digit": lambda digest: digest.hex()[::2],
}


@pytest.fixture
def derived() -> Derived:
    """Of a replay that made one digest of its token, and one of something else."""
    operands = SecretOperands((TOKEN,))
    operands.derive(TOKEN.encode(), MADE)
    operands.derive(b"something else", hashlib.sha1(b"something else").digest())
    return Derived(operands.derived)


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_digest_of_a_token_takes_the_recorded_one_s_place(derived, write):
    """However it is written, as often as it stands there."""
    recorded, got = (f'<a href="/feed/{write(digest)}.xml">{write(digest)}</a>' for digest in (RECORDED, MADE))

    assert recorded == derived.with_recorded(recorded, got)


@pytest.mark.parametrize(
    "recorded",
    [
        f"/feed/{RECORDED.hex()}.xml, and more",
        "/feed/no digest, but of the same length you see.xml",
        f"/feed/{RECORDED.hex()[:-1]}..xml",
        None,
        f"/feed/{RECORDED.hex()}.xml".encode(),
    ],
)
def test_what_is_no_digest_there_stays_a_difference(derived, recorded):
    """Other lengths, other signs, other types: nothing of them is taken over."""
    assert derived.with_recorded(recorded, f"/feed/{MADE.hex()}.xml") is None


def test_digest_of_anything_else_stays_a_difference(derived):
    """Only what was made of a token may differ."""
    assert derived.with_recorded(f"v={RECORDED.hex()}", f"v={hashlib.sha1(b'something else').hexdigest()}") is None
    assert Derived(()).with_recorded(RECORDED.hex(), MADE.hex()) is None


def test_what_stands_around_a_digest_still_counts(derived):
    """The rest of the text is the replay's own."""
    taken = derived.with_recorded(f"/feed/{RECORDED.hex()}?user=1", f"/feed/{MADE.hex()}?user=2")

    assert f"/feed/{RECORDED.hex()}?user=2" == taken


@pytest.mark.parametrize("write", list(WRITTEN.values())[:3], ids=list(WRITTEN)[:3])
def test_recorded_text_tells_the_recorded_digest(derived, write):
    """By what stands around it, whatever else differs."""
    recorded, got = (
        f'{len(write(digest)) * drawn} <a href="/join/{write(digest)}">Join</a>'
        for digest, drawn in ((RECORDED, "#"), (MADE, "##"))
    )

    assert {MADE.hex(): RECORDED.hex()} == derived.recorded_digests([(recorded, got)])


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("nothing of the kind", f"/join/{MADE.hex()}")],
        [(f"/join/{RECORDED.hex()}a", f"/join/{MADE.hex()}.")],
        [(f"/join/{RECORDED.hex()[:-1]}Z.", f"/join/{MADE.hex()}.")],
        [(f"/join/{RECORDED.hex()}.", f"/join/{MADE.hex()}."), (f"/join/{'5e' * 20}.", f"/join/{MADE.hex()}.")],
    ],
)
def test_digest_that_no_text_tells_is_not_guessed(derived, pairs):
    """Nothing there, something else around it, no digest, or two that contradict each other."""
    assert {} == derived.recorded_digests(pairs)


def test_digest_is_kept_once_and_the_latest_are_kept():
    """A program that hashes in a loop makes the list no longer, and pushes nothing out with what it has made before."""
    operands = SecretOperands((TOKEN,))
    made = [hashlib.sha256(f"{TOKEN}{number}".encode()).digest() for number in range(300)]

    for number, digest in enumerate(made):
        for _ in range(3):
            assert digest == operands.derive(f"{TOKEN}{number}".encode(), digest)

    assert tuple(digest.hex() for digest in made[-256:]) == operands.derived


def test_recorded_digest_is_taken_for_the_one_that_was_made():
    """What is made of it in turn counts as made of a token."""
    operands = SecretOperands((TOKEN,), {MADE.hex(): RECORDED.hex()})

    assert RECORDED == operands.derive(TOKEN.encode(), MADE)
    assert operands.holds(b"tag of " + RECORDED.hex().encode())
    assert (MADE.hex(), RECORDED.hex()) == operands.derived
