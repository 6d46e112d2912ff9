"""Sealing and opening: round trips, limits, what messages compare, and what no traceback holds."""

from __future__ import annotations

import os
import ssl
from types import TracebackType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_fluxrun.bundle import (
    Algorithm,
    Index,
    Producer,
    ProjectKey,
    Token,
    Trust,
    cobblestone,
    envelope,
    open_bundle,
    read_index,
    seal,
    verify,
)
from pytest_fluxrun.bundle.frame import pack_payload
from pytest_fluxrun.errors import (
    BundleError,
    BundleTooLarge,
    DamagedBundle,
    KeyFileError,
    NoMatchingKey,
    UntrustedProducer,
)

KEY = ProjectKey.generate()
AVAILABLE = sorted({Algorithm.X25519, ProjectKey.generate().public.algorithm})
"""cryptography 47 has no ML-KEM-768."""


def _everything_held(error: BaseException) -> str:
    """Return the repr of all locals of all frames of an error and of those that it came from."""
    held: list[str] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None:
            continue
        pending += [one.__cause__, None if one.__suppress_context__ else one.__context__]
        traceback: TracebackType | None = one.__traceback__
        while traceback is not None:
            if not traceback.tb_frame.f_code.co_filename.endswith("test_envelope.py"):
                held.append(repr(traceback.tb_frame.f_locals))
            traceback = traceback.tb_next
    return "\n".join([*held, str(error)])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=5000), algorithms=st.lists(st.sampled_from(AVAILABLE), min_size=1, max_size=4))
def test_what_is_sealed_opens_with_each_recipients_key(
    payload: bytes, algorithms: list[Algorithm], index: Index, token: Token, trust: Trust
) -> None:
    """Any payload comes back to the holder of any one of the keys, with the index that was given."""
    keys = [ProjectKey.from_seed(one, bytes([number]) * 32) for number, one in enumerate(algorithms)]

    data = seal(payload, index, recipients=[key.public for key in keys], signer=token)

    for key in keys:
        opened_index, opened_payload = open_bundle(data, keys=[key], trust=trust)
        assert payload == opened_payload
        ids = tuple(one.public.key_id.hex() for one in keys)
        assert index.model_copy(update={"recipients": ids}) == opened_index == verify(data, trust) == read_index(data)


@pytest.mark.parametrize("size", [0, 20_000, 16_384 - 17, 300_000])
def test_incompressible_payloads_come_back(size: int, index: Index, token: Token, trust: Trust) -> None:
    """What zlib can't shrink is stored, over several chunks."""
    payload = os.urandom(size)

    data = seal(payload, index, recipients=[KEY.public], signer=token)

    assert payload == open_bundle(data, keys=[KEY], trust=trust)[1]
    assert len(data) < size * 1.12 + 5000


def test_highly_compressible_payload_stays_within_the_ratio(index: Index, token: Token, trust: Trust) -> None:
    """A payload that zlib shrinks beyond the allowed ratio can still be opened."""
    payload = bytes(5 << 20)

    data = seal(payload, index, recipients=[KEY.public], signer=token)

    assert payload == open_bundle(data, keys=[KEY], trust=trust)[1]


def test_same_run_is_sealed_differently_each_time(index: Index, token: Token) -> None:
    """Data key, wraps and salt are fresh for each bundle."""
    first, second = (seal(b"payload", index, recipients=[KEY.public], signer=token) for _ in range(2))

    assert first[-1000:] != second[-1000:]


def test_data_key_doesnt_come_from_the_interposed_entropy(
    index: Index, token: Token, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entropy that a replay serves can't make two bundles share a data key."""
    monkeypatch.setattr(os, "urandom", bytes)
    wrapped = [seal(b"payload", index, recipients=[KEY.public], signer=token) for _ in range(2)]

    assert len({data[-1000:] for data in wrapped}) == 2
    assert open_bundle(wrapped[0], keys=[KEY], trust=trust)[1] == b"payload"


def test_recipient_named_twice_gets_one_wrap(index: Index, token: Token) -> None:
    """Duplicates among the recipients are dropped."""
    data = seal(b"", index, recipients=[KEY.public, KEY.public], signer=token)

    assert read_index(data).recipients == (KEY.public.key_id.hex(),)


def test_no_recipient_is_refused(index: Index, token: Token) -> None:
    """Nothing is ever sealed to nobody, let alone stored in the clear."""
    with pytest.raises(KeyFileError, match="no public key"):
        seal(b"", index, recipients=[], signer=token)


def test_seventeen_recipients_are_refused(index: Index, token: Token) -> None:
    """A writer keeps the limit that readers check."""
    many = [ProjectKey.from_seed(Algorithm.X25519, bytes([number]) * 32).public for number in range(17)]

    with pytest.raises(BundleTooLarge, match="17 keys"):
        seal(b"", index, recipients=many, signer=token)


def test_payload_over_the_files_limit_is_refused(index: Index, token: Token) -> None:
    """What can't be packed into 64 MiB isn't sealed."""
    with pytest.raises(BundleTooLarge):
        seal(os.urandom(1 << 20) * 65, index, recipients=[KEY.public], signer=token)


def test_file_over_the_limit_is_refused_at_once(trust: Trust) -> None:
    """A file over 64 MiB is refused by its size alone."""
    with pytest.raises(BundleTooLarge, match=str((64 << 20) + 1)):
        verify(bytes((64 << 20) + 1), trust)


def test_foreign_key_message_compares_ids(index: Index, token: Token, trust: Trust, project_key: ProjectKey) -> None:
    """A locked bundle says to which keys it is sealed, which are held, and the next command."""
    data = seal(b"", index, recipients=[KEY.public], signer=token)

    with pytest.raises(NoMatchingKey) as caught:
        open_bundle(data, keys=[project_key], trust=trust, source="runs/a.fluxrun")

    assert caught.value.reason == "locked"
    assert "runs/a.fluxrun" in caught.value.what
    assert f"sealed to {KEY.public.key_id.hex()[:8]}…" in caught.value.why
    assert f"you hold {project_key.public.key_id.hex()[:8]}…" in caught.value.why
    assert "fluxrun keys" in caught.value.next_step


def test_no_key_at_all_is_locked(index: Index, token: Token, trust: Trust) -> None:
    """Without a key the message says so."""
    data = seal(b"", index, recipients=[KEY.public], signer=token)

    with pytest.raises(NoMatchingKey, match="you hold no key"):
        open_bundle(data, keys=[], trust=trust)


def test_second_key_at_hand_opens(index: Index, token: Token, trust: Trust, project_key: ProjectKey) -> None:
    """After a rotation the old key still opens old bundles."""
    data = seal(b"old", index, recipients=[KEY.public], signer=token)

    assert open_bundle(data, keys=[project_key, KEY], trust=trust)[1] == b"old"


def test_untrusted_producer_message_compares_ids(index: Index, token: Token, trust: Trust) -> None:
    """An unknown producer is named beside those that are trusted."""
    stranger = Token.generate()
    data = seal(b"", index, recipients=[KEY.public], signer=stranger)

    with pytest.raises(UntrustedProducer) as caught:
        open_bundle(data, keys=[KEY], trust=trust)

    assert stranger.producer_id.hex()[:8] in caught.value.what
    assert token.producer_id.hex()[:8] in caught.value.why


def test_revoked_producer_is_refused(index: Index, token: Token) -> None:
    """Revoking a producer takes back the trust in everything that it signed."""
    data = seal(b"", index, recipients=[KEY.public], signer=token)
    revoked = Trust("shop", (), (Producer(token.producer_id, token.verifying_key, revoked=True),))

    with pytest.raises(UntrustedProducer, match="revoked"):
        verify(data, revoked)


def test_sizes_within_a_class_look_alike(index: Index, token: Token) -> None:
    """Payloads of 1 to 900 bytes give bundles of one size."""
    sizes = {len(seal(os.urandom(size), index, recipients=[KEY.public], signer=token)) for size in (1, 450, 900)}

    assert len(sizes) == 1


def test_no_frame_of_an_error_holds_plaintext(
    index: Index, token: Token, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the content is malformed after decryption, tracebacks with locals don't show it."""
    monkeypatch.setattr(envelope, "pack_payload", lambda payload: pack_payload(payload)[:-1] + b"\1")
    payload = b"plaintext-marker" + os.urandom(40)
    data = seal(payload, index, recipients=[KEY.public], signer=token)

    with pytest.raises(DamagedBundle, match="padding") as caught:
        open_bundle(data, keys=[KEY], trust=trust)

    held = _everything_held(caught.value)
    assert "plaintext-marker" not in held
    assert repr(data[:40])[2:-1] in held, "the walk over the frames sees locals"


def test_no_frame_of_an_error_holds_the_data_key(
    index: Index, token: Token, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the body doesn't decrypt, tracebacks with locals don't show the data key that was unwrapped."""
    data_key = b"data-key-marker-0123456789abcdef"
    monkeypatch.setattr(ssl, "RAND_bytes", lambda _size: data_key)
    monkeypatch.setattr(cobblestone, "encrypt", lambda *_: bytes(1096))
    data = seal(b"", index, recipients=[KEY.public], signer=token)

    with pytest.raises(DamagedBundle, match="body doesn't decrypt") as caught:
        open_bundle(data, keys=[KEY], trust=trust)

    assert "data-key-marker" not in _everything_held(caught.value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=400), keep=st.integers(0, 80))
def test_any_bytes_are_refused_with_a_typed_error(noise: bytes, keep: int, trust: Trust) -> None:
    """Bytes that nobody sealed give a BundleError, whatever they are."""
    head = b"\x89FXR\r\n\x1a\n\x01" + bytes(80)

    with pytest.raises(BundleError):
        open_bundle(head[:keep] + noise, keys=[KEY], trust=trust)
