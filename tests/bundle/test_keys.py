"""Project keys, public keys and tokens: their text forms, what they refuse, and that no secret is shown."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType

import cryptography_vectors
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from pytest_fluxrun.bundle import Algorithm, ProjectKey, PublicKey, Token, keys
from pytest_fluxrun.bundle.base32 import decode_text, encode_text
from pytest_fluxrun.errors import KeyFileError

_HPKE = Path(cryptography_vectors.__file__).parent / "HPKE" / "hpke-pq-test-vectors.json"
XWING_KEM = 0x647A
XWING_ONLY = pytest.mark.skipif(
    ProjectKey.generate().public.algorithm is not Algorithm.XWING, reason="cryptography 47 has no ML-KEM-768"
)
AVAILABLE = sorted({Algorithm.X25519, ProjectKey.generate().public.algorithm})
"""cryptography 47 has no ML-KEM-768."""
SEEDS = st.binary(min_size=32, max_size=32)


def _frames_hold(error: BaseException, secret: str) -> bool:
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_filename != __file__ and secret in repr(frame.f_locals):
            return True
        traceback = traceback.tb_next
    return secret in str(error)


@given(st.sampled_from(AVAILABLE), SEEDS)
def test_key_texts_round_trip(algorithm: Algorithm, seed: bytes) -> None:
    """A key and its public half come back from their text, in either case and with space around it."""
    key = ProjectKey.from_seed(algorithm, seed)

    assert key == ProjectKey.parse(key.to_text()) == ProjectKey.parse(f"  {key.to_text().upper()}\n")
    assert key.to_text() == ProjectKey.parse(key.to_text()).to_text()
    assert key.public == PublicKey.parse(key.public.to_text())
    assert key.public.key_id == PublicKey.parse(key.public.to_text()).key_id


@given(st.binary(min_size=16, max_size=16), SEEDS)
def test_token_text_round_trips(producer_id: bytes, seed: bytes) -> None:
    """A token comes back from its text and signs the same."""
    token = Token.from_seed(producer_id, seed)
    parsed = Token.parse(token.to_text())

    assert token == parsed
    assert token.sign(b"message") == parsed.sign(b"message")


@given(st.binary(max_size=80))
def test_any_content_round_trips(content: bytes) -> None:
    """The text form loses nothing, whatever the length."""
    assert (content, "") == decode_text("fluxrun-x-", encode_text("fluxrun-x-", content))


@given(SEEDS, st.data())
def test_one_wrong_character_is_noticed(seed: bytes, data: st.DataObject) -> None:
    """A key with a character changed, dropped or swapped with its neighbour isn't another key."""
    text = ProjectKey.from_seed(Algorithm.X25519, seed).to_text()
    at = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.characters(codec="utf-8"))
    replaced, dropped = text[:at] + other + text[at + 1 :], text[:at] + text[at + 1 :]
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]

    for changed in (replaced, dropped, swapped):
        if changed.strip().lower() != text:
            with pytest.raises(KeyFileError):
                ProjectKey.parse(changed)


@XWING_ONLY
@pytest.mark.parametrize("vector", [v for v in json.loads(_HPKE.read_text()) if v["kem_id"] == XWING_KEM])
def test_xwing_seed_expands_as_the_draft_says(vector: dict[str, str]) -> None:
    """The seeds of the HPKE vectors give the vectors' public keys."""
    key = ProjectKey.from_seed(Algorithm.XWING, bytes.fromhex(vector["skRm"]))

    assert vector["pkRm"] == key.public.raw.hex()


@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_wrap_opens_only_with_its_key_and_info(algorithm: Algorithm) -> None:
    """A wrapped data key comes back to its key with its info, and to nothing else."""
    key, other = ProjectKey.generate(algorithm), ProjectKey.generate(algorithm)
    wrapped = key.public.wrap(bytes(32), b"info")

    assert bytes(32) == key.unwrap(wrapped, b"info")
    assert key.unwrap(wrapped, b"other") is None
    assert other.unwrap(wrapped, b"info") is None
    assert key.unwrap(wrapped[:-1], b"info") is None


def test_generated_keys_differ() -> None:
    """Two keys, two tokens, two ids."""
    assert ProjectKey.generate().public.key_id != ProjectKey.generate().public.key_id
    assert Token.generate().producer_id != Token.generate().producer_id


@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_repr_of_a_secret_shows_the_id_only(algorithm: Algorithm) -> None:
    """Repr, str and format of keys and tokens show eight digits of the id and nothing of the seed."""
    key, token = ProjectKey.generate(algorithm), Token.generate()

    assert f"ProjectKey({key.public.key_id.hex()[:8]}…)" == repr(key) == str(key) == f"{key}"
    assert f"Token({token.producer_id.hex()[:8]}…)" == repr(token) == str(token) == f"{token}"
    assert f"PublicKey({key.public.key_id.hex()[:8]}…)" == repr(key.public)


@pytest.mark.parametrize("secret", [ProjectKey.generate(), ProjectKey.generate(Algorithm.X25519), Token.generate()])
def test_secrets_arent_pickled(secret: object) -> None:
    """A secret doesn't travel by accident."""
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(secret)


@pytest.mark.parametrize("parse", [ProjectKey.parse, Token.parse], ids=["key", "token"])
@pytest.mark.parametrize("good", [ProjectKey.generate().to_text(), Token.generate().to_text()], ids=["key", "token"])
def test_refused_secret_is_in_no_frame_and_no_message(parse: object, good: str) -> None:
    """A text that isn't a key may be one with a typing error: neither message nor traceback shows it."""
    assert callable(parse)
    for text in (good[:-1], good[:-1] + "u", "prefix" + good):
        with pytest.raises(KeyFileError) as caught:
            parse(text, source="FLUXRUN_PROJECT_KEY")

        assert "FLUXRUN_PROJECT_KEY" in caught.value.what
        assert caught.value.why
        assert not _frames_hold(caught.value, good[20:40])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "doesn't begin"),
        ("fluxrun-pub-", "checksum"),
        (encode_text("fluxrun-pub-", b""), "no key"),
        (encode_text("fluxrun-pub-", b"\3" + bytes(32)), "no key"),
        (encode_text("fluxrun-pub-", b"\1" + bytes(31)), "no key"),
        pytest.param(encode_text("fluxrun-pub-", b"\2" + b"\xff" * 1216), "no key", marks=XWING_ONLY),
        (encode_text("fluxrun-key-", b"\1" + bytes(32)), "doesn't begin"),
        (encode_text("fluxrun-pub-", b"\1" + bytes(32)).replace("-pub-", "-pub-l"), "character"),
    ],
)
def test_public_key_that_is_none_is_refused(text: str, why: str) -> None:
    """Texts that are well formed but hold no key are refused with the reason."""
    with pytest.raises(KeyFileError, match=why):
        PublicKey.parse(text)


@pytest.mark.parametrize("content", [b"", b"\1", b"\1" + bytes(31), b"\1" + bytes(33), b"\3" + bytes(32)])
def test_well_formed_text_without_a_key_is_refused(content: bytes) -> None:
    """The checksum fits, and the content is still no project key and no token."""
    with pytest.raises(KeyFileError, match="no key"):
        ProjectKey.parse(encode_text("fluxrun-key-", content))
    with pytest.raises(KeyFileError, match="no key"):
        Token.parse(encode_text("fluxrun-token-", content))


def test_without_mlkem_a_key_is_x25519_and_an_xwing_key_says_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cryptography lacks ML-KEM-768, new keys still work, and those that can't be used name the remedy."""

    def unsupported(_: bytes) -> None:
        raise UnsupportedAlgorithm("")

    for name in ("MLKEM768PrivateKey", "MLKEM768PublicKey"):
        lacking = SimpleNamespace(from_seed_bytes=unsupported, from_public_bytes=unsupported)
        monkeypatch.setattr(keys, name, lacking)
    texts: dict[str, Callable[[str], object]] = {
        encode_text("fluxrun-key-", b"\2" + bytes(32)): ProjectKey.parse,
        encode_text("fluxrun-pub-", b"\2" + bytes(1216)): PublicKey.parse,
    }

    assert ProjectKey.generate().public.algorithm is Algorithm.X25519
    for text, parse in texts.items():
        with pytest.raises(KeyFileError, match="no ML-KEM-768") as caught:
            parse(text)
        assert "pip install --upgrade cryptography" in caught.value.next_step


def test_seeds_of_another_length_are_refused() -> None:
    """Programming errors are ValueErrors."""
    with pytest.raises(ValueError, match="not 31"):
        ProjectKey.from_seed(Algorithm.X25519, bytes(31))
    with pytest.raises(ValueError, match="not 15"):
        Token.from_seed(bytes(15), bytes(32))
