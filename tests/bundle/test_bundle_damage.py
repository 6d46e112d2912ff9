"""Truncation at every byte and every single-bit flip: a typed error, no plaintext, no crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pytest_fluxrun.bundle import Index, ProjectKey, Token, Trust, cobblestone, open_bundle, read_index, seal, verify
from pytest_fluxrun.bundle.format import Parts, Wrap, join, split
from pytest_fluxrun.errors import BundleError, DamagedBundle, NotABundle, TruncatedBundle

MARKER = b"plaintext-marker"
Opener = Callable[[bytes], bytes]


@pytest.fixture(params=["native", "portable"])
def opened(
    request: pytest.FixtureRequest, project_key: ProjectKey, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> Opener:
    """Return what opens a bundle with one of the two body ciphers."""
    if request.param == "portable":
        monkeypatch.setattr(cobblestone, "decrypt", cobblestone.decrypt_portable)
    return lambda data: open_bundle(data, keys=[project_key], trust=trust)[1]


@pytest.fixture(scope="module")
def bundle(project_key: ProjectKey, token: Token, index: Index) -> bytes:
    """Return a small bundle."""
    return seal(MARKER, index, recipients=[project_key.public], signer=token)


def _flips(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def _refusal(opener: Opener, data: bytes) -> BundleError:
    with pytest.raises(BundleError) as caught:
        opener(data)
    assert MARKER.decode() not in str(caught.value)
    return caught.value


def _signed_again(parts: Parts, token: Token, *, body: bytes | None = None, wrap: bytes | None = None) -> bytes:
    """Return the bundle with other parts, rightly signed: what a trusted but broken producer would write."""
    wraps = parts.wraps if wrap is None else (replace(parts.wraps[0], ciphertext=wrap),)
    return join(
        parts.index,
        wraps,
        bytes(parts.body) if body is None else body,
        producer_id=token.producer_id,
        sign=token.sign,
    )


def test_the_whole_bundle_opens(bundle: bytes, opened: Opener) -> None:
    """What the other tests damage is sound."""
    assert opened(bundle) == MARKER


def test_truncation_at_every_byte_is_named_so(bundle: bytes, opened: Opener) -> None:
    """Every proper prefix of a bundle is refused as truncated."""
    reasons = {type(_refusal(opened, bundle[:size])) for size in range(len(bundle))}

    assert reasons == {TruncatedBundle}


def test_truncated_head_has_no_index(bundle: bytes) -> None:
    """Reading the index alone refuses every prefix that lacks a part of it, and no other."""
    end = 17 + len(split(bundle).index)

    for size in range(end):
        with pytest.raises(TruncatedBundle):
            read_index(bundle[:size])
    assert read_index(bundle[:end]) == read_index(bundle)


def test_every_single_bit_flip_is_refused(bundle: bytes, opened: Opener) -> None:
    """No bit of a bundle can change unnoticed."""
    refused = [_refusal(opened, flipped).reason for flipped in _flips(bundle)]

    assert len(refused) == 8 * len(bundle)
    assert {"not-a-bundle", "unsupported-version", "truncated", "damaged", "bad-signature", "untrusted"} <= set(refused)


def test_every_bit_flip_in_a_signed_body_is_refused(bundle: bytes, token: Token, opened: Opener) -> None:
    """Where digest and signature fit, the body's own authentication refuses each flip."""
    parts = split(bundle)

    for flipped in _flips(bytes(parts.body)):
        assert type(_refusal(opened, _signed_again(parts, token, body=flipped))) is DamagedBundle


def test_every_signed_truncation_of_the_body_is_refused(bundle: bytes, token: Token, opened: Opener) -> None:
    """Where digest and signature fit, a body cut anywhere is refused."""
    parts = split(bundle)

    for size in range(len(parts.body)):
        cut = _signed_again(parts, token, body=bytes(parts.body[:size]))
        assert type(_refusal(opened, cut)) is DamagedBundle


def test_every_bit_flip_in_a_signed_wrap_is_refused(bundle: bytes, token: Token, opened: Opener) -> None:
    """Where the signature fits, HPKE refuses each flip of the wrapped data key."""
    parts = split(bundle)

    for flipped in _flips(parts.wraps[0].ciphertext):
        assert type(_refusal(opened, _signed_again(parts, token, wrap=flipped))) is DamagedBundle


def test_a_signed_bundle_with_anothers_index_is_refused(
    bundle: bytes, token: Token, index: Index, project_key: ProjectKey, opened: Opener
) -> None:
    """Wraps and body are bound to their index, so that no producer can move them under another one."""
    changed = index.model_copy(update={"status": 200})
    other = split(seal(b"x", changed, recipients=[project_key.public], signer=token))
    mixed = replace(split(bundle), index=other.index)

    assert type(_refusal(opened, _signed_again(mixed, token))) is DamagedBundle


def test_wraps_of_one_bundle_dont_open_another(bundle: bytes, token: Token, index: Index, opened: Opener) -> None:
    """Two bundles with the same index still have different data keys."""
    key_id = split(bundle).wraps[0].key_id
    recipients = read_index(bundle).recipients
    assert recipients == (key_id.hex(),)
    foreign = Wrap(1, key_id, bytes(80))

    assert type(_refusal(opened, _signed_again(split(bundle), token, wrap=foreign.ciphertext))) is DamagedBundle


def test_text_mode_transfer_is_named(bundle: bytes, trust: Trust) -> None:
    """A bundle whose line ends were converted says how to prevent it."""
    with pytest.raises(NotABundle, match="text mode") as caught:
        verify(bundle.replace(b"\r\n", b"\n"), trust)
    assert ".gitattributes" in caught.value.next_step


def test_git_lfs_pointer_is_named(trust: Trust) -> None:
    """A Git LFS pointer in place of the bundle names the command that fetches it."""
    with pytest.raises(NotABundle) as caught:
        verify(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", trust)
    assert "git lfs pull" in caught.value.next_step


def test_body_digest_is_checked_before_the_signature(bundle: bytes, trust: Trust) -> None:
    """Accidental damage of the body is reported as damage, not as forgery."""
    flipped = bundle[:-1] + bytes([bundle[-1] ^ 1])
    assert hashlib.sha256(split(bundle).body).digest() != hashlib.sha256(flipped[-len(split(bundle).body) :]).digest()

    with pytest.raises(DamagedBundle, match="digest"):
        verify(flipped, trust)


def test_trailing_data_is_named_as_such(bundle: bytes, trust: Trust) -> None:
    """Something appended is told from something changed."""
    with pytest.raises(DamagedBundle, match="2 more bytes follow its end"):
        verify(bundle + b"\r\n", trust)


def test_impossible_body_length_is_refused_before_the_signature(bundle: bytes, trust: Trust) -> None:
    """A body that no writer makes is refused by its length, whoever signed it."""
    parts = split(bundle)
    stranger = Token.generate()
    cut = join(parts.index, parts.wraps, bytes(71), producer_id=stranger.producer_id, sign=stranger.sign)

    with pytest.raises(DamagedBundle, match="can't have 71 bytes"):
        verify(cut, trust)
