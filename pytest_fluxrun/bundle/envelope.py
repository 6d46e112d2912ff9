"""Seal a run, check a bundle's signature, open it (docs/spec/bundle-v1.md). Bytes in, bytes out; no files.

Frames that hold a data key or plaintext raise nothing: they return the error, so that no traceback shows a secret.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from typing import Final

from pytest_fluxrun.bundle import cobblestone
from pytest_fluxrun.bundle.format import DOMAIN, MAX_WRAPS, Parts, Wrap, join, signing_input, split
from pytest_fluxrun.bundle.frame import pack_payload, unpack_payload
from pytest_fluxrun.bundle.index import Index, decode_index, encode_index, is_canonical
from pytest_fluxrun.bundle.keys import ProjectKey, PublicKey, Token, short_id
from pytest_fluxrun.bundle.trust import Trust
from pytest_fluxrun.errors import (
    BadSignature,
    BundleError,
    BundleTooLarge,
    DamagedBundle,
    KeyFileError,
    NoMatchingKey,
    UntrustedProducer,
)

__all__ = ["open_bundle", "seal", "verify"]

_DATA_KEY_BYTES: Final = 32


def seal(payload: bytes, index: Index, *, recipients: Sequence[PublicKey], signer: Token) -> bytes:
    """Return a bundle of `payload` that any one of `recipients` opens.

    Thread-safe. About 0.2 ms for 20 KB and one recipient.

    Args:
        payload: the run, at most 256 MiB.
        index: what anyone may read; its `recipients` are filled in here.
        recipients: 1 to 16 keys; one that is named twice counts once.
        signer: the producer's token.

    Raises:
        KeyFileError: there is no recipient, or one is a key that nothing can be sealed to.
        BundleTooLarge: a limit of the format would be passed.
    """
    distinct = tuple(dict.fromkeys(recipients))
    if not distinct:
        step = "set FLUXRUN_PUBLIC_KEY, or deploy the trust file with the application"
        raise KeyFileError("no run can be sealed", why="there is no public key to seal it to", next_step=step)
    if len(distinct) > MAX_WRAPS:
        raise BundleTooLarge(f"a run can't be sealed to {len(distinct)} keys", why=f"the format allows {MAX_WRAPS}")
    encoded = encode_index(index, [key.key_id.hex() for key in distinct])
    index_sha256 = hashlib.sha256(encoded).digest()
    data_key = ssl.RAND_bytes(_DATA_KEY_BYTES)
    wraps = [_wrap(key, data_key, index_sha256) for key in distinct]
    body = cobblestone.encrypt(data_key, _body_context(index_sha256), pack_payload(payload))
    return join(encoded, wraps, body, producer_id=signer.producer_id, sign=signer.sign)


def verify(data: bytes, trust: Trust, *, source: str = "the bundle") -> Index:
    """Return the index of a bundle that is whole and that a trusted producer signed. Needs no project key.

    Args:
        data: the whole file.
        trust: the project's trust file.
        source: names the bundle in messages.

    Raises:
        BundleError: the structure, the producer, the signature or the index is refused, in this order.
    """
    return _verify(split(data, source=source), trust, source)


def open_bundle(
    data: bytes, *, keys: Sequence[ProjectKey], trust: Trust, source: str = "the bundle"
) -> tuple[Index, bytes]:
    """Return the index and the payload of a bundle, both authenticated.

    Args:
        data: the whole file.
        keys: the project keys at hand; the first that fits opens it.
        trust: the project's trust file.
        source: names the bundle in messages.

    Raises:
        BundleError: what `verify` refuses, then: no key at hand fits, or the content is damaged.
    """
    parts = split(data, source=source)
    index = _verify(parts, trust, source)
    wrap, key = _matching(parts.wraps, keys, source)
    payload = _decrypt(parts, wrap, key, source)
    if isinstance(payload, bytes):
        return index, payload
    raise payload from None


def _verify(parts: Parts, trust: Trust, source: str) -> Index:
    producer = trust.producer(parts.producer_id)
    if producer is None or producer.revoked:
        raise _untrusted(parts.producer_id, trust, source, revoked=producer is not None)
    if not producer.signed(signing_input(parts.signed), parts.signature):
        raise BadSignature(
            f"{source} doesn't have the signature of its producer {short_id(parts.producer_id)}",
            why="it was changed after it was signed, or another producer uses that id",
            next_step="fetch it again with `fluxrun pull`",
        )
    index = decode_index(parts.index, source=source)
    if not is_canonical(index, parts.index) or index.recipients != tuple(wrap.key_id.hex() for wrap in parts.wraps):
        raise DamagedBundle(
            f"{source} has an index that can't be used",
            why="it isn't in canonical form, or doesn't name the keys of its wraps",
            next_step="upgrade the FluxRun that recorded it",
        )
    return index


def _matching(wraps: Sequence[Wrap], keys: Sequence[ProjectKey], source: str) -> tuple[Wrap, ProjectKey]:
    by_id = {wrap.key_id: wrap for wrap in wraps}
    for key in keys:
        wrap = by_id.get(key.public.key_id)
        if wrap is not None:
            return wrap, key
    sealed_to = ", ".join(short_id(wrap.key_id) for wrap in wraps)
    held = ", ".join(short_id(key.public.key_id) for key in keys)
    raise NoMatchingKey(
        f"{source} is locked here",
        why=f"it is sealed to {sealed_to}, and you hold {held or 'no key'}",
        next_step="set FLUXRUN_PROJECT_KEY to that project key; `fluxrun keys` lists what you hold",
    )


def _decrypt(parts: Parts, wrap: Wrap, key: ProjectKey, source: str) -> bytes | BundleError:
    index_sha256 = hashlib.sha256(parts.index).digest()
    data_key = key.unwrap(wrap.ciphertext, _wrap_info(wrap.key_id, index_sha256))
    if data_key is None:
        return _unopenable(source, f"its wrap for key {short_id(wrap.key_id)} doesn't decrypt")
    frame = cobblestone.decrypt(data_key, _body_context(index_sha256), parts.body)
    if frame is None:
        return _unopenable(source, "its body doesn't decrypt with the key in its wrap")
    return unpack_payload(frame, source=source)


def _unopenable(source: str, why: str) -> DamagedBundle:
    return DamagedBundle(f"{source} is damaged", why=why, next_step="fetch it again with `fluxrun pull`")


def _wrap(key: PublicKey, data_key: bytes, index_sha256: bytes) -> Wrap:
    return Wrap(key.algorithm, key.key_id, key.wrap(data_key, _wrap_info(key.key_id, index_sha256)))


def _wrap_info(key_id: bytes, index_sha256: bytes) -> bytes:
    return DOMAIN + b"wrap\0" + key_id + index_sha256


def _body_context(index_sha256: bytes) -> bytes:
    return DOMAIN + b"body\0" + index_sha256


def _untrusted(producer_id: bytes, trust: Trust, source: str, *, revoked: bool) -> UntrustedProducer:
    name = short_id(producer_id)
    known = ", ".join(short_id(producer.producer_id) for producer in trust.producers if not producer.revoked)
    if revoked:
        why = f"the trust file of {trust.project!r} says that producer {name} is revoked"
        step = "record the failure again with a token that isn't revoked; `fluxrun keys` lists them"
    else:
        why = f"the trust file of {trust.project!r} trusts {known or 'no producer'}"
        step = f"if {name} is yours, add it to the trust file (`fluxrun keys`); else delete the bundle"
    return UntrustedProducer(f"{source} was signed by the producer {name}, who isn't trusted", why=why, next_step=step)
