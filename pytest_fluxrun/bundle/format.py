"""The byte layout of FXR1 (docs/spec/bundle-v1.md): bytes to parts and parts to bytes.

Imports no cryptography. Every length is checked against a limit and against the bytes at hand before it is used.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_fluxrun.errors import (
    BundleTooLarge,
    DamagedBundle,
    NotABundle,
    TruncatedBundle,
    UnsupportedVersion,
)

__all__ = [
    "DOMAIN",
    "HEAD_BYTES",
    "MAX_FILE_BYTES",
    "MAX_INDEX_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_RATIO",
    "MAX_WRAPS",
    "WRAP_BYTES",
    "Parts",
    "Wrap",
    "join",
    "parse_head",
    "signing_input",
    "split",
]

DOMAIN: Final = b"pytest-fluxrun/bundle@v1/"
MAX_FILE_BYTES: Final = 64 << 20
MAX_INDEX_BYTES: Final = 64 << 10
MAX_PAYLOAD_BYTES: Final = 256 << 20
MAX_RATIO: Final = 200
MAX_WRAPS: Final = 16
WRAP_BYTES: Final = {1: 80, 2: 1168}
"""Length of the HPKE ciphertext for each algorithm: 1 is X25519, 2 is X-Wing."""

_MAGIC: Final = b"\x89FXR\r\n\x1a\n"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">8sBII")
HEAD_BYTES: Final = _HEAD.size
"""Length of magic, version and the two header lengths."""
_BODY: Final = struct.Struct(">Q32s16s64s")
_SIGNATURE_BYTES: Final = 64
_WRAP_HEAD_BYTES: Final = 17
_MAX_WRAPS_BYTES: Final = MAX_WRAPS * (_WRAP_HEAD_BYTES + max(WRAP_BYTES.values()))
_SALT_AND_COMMITMENT_BYTES: Final = 56
_TAG_BYTES: Final = 16
_CHUNK_BYTES: Final = 16384 + _TAG_BYTES
_AGAIN: Final = "fetch it again with `fluxrun pull`"


@dataclass(frozen=True, slots=True)
class Wrap:
    """The data key of a bundle, encrypted to one recipient."""

    algorithm: int
    key_id: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """A bundle taken apart. The structure and the body's digest are checked; nothing is authenticated.

    Attributes:
        index: the index as JSON.
        wraps: 1 to 16, no key id twice.
        producer_id: 16 bytes.
        signed: every byte before the signature.
        signature: 64 bytes.
        body: a view of the bytes that the bundle was split from.
    """

    index: bytes
    wraps: tuple[Wrap, ...]
    producer_id: bytes
    signed: bytes
    signature: bytes
    body: memoryview


def join(
    index: bytes, wraps: Sequence[Wrap], body: bytes, *, producer_id: bytes, sign: Callable[[bytes], bytes]
) -> bytes:
    """Return the bundle of these parts.

    Args:
        index: canonical JSON, at most 64 KiB.
        wraps: 1 to 16.
        body: the encrypted frame.
        producer_id: 16 bytes.
        sign: returns the 64-byte signature of a message.

    Raises:
        BundleTooLarge: the bundle would be over 64 MiB.
    """
    packed = b"".join(bytes([wrap.algorithm]) + wrap.key_id + wrap.ciphertext for wrap in wraps)
    head = _HEAD.pack(_MAGIC, _VERSION, len(index), len(packed))
    tail = struct.pack(">Q32s16s", len(body), hashlib.sha256(body).digest(), producer_id)
    signed = b"".join((head, index, packed, tail))
    size = len(signed) + _SIGNATURE_BYTES + len(body)
    if size > MAX_FILE_BYTES:
        raise BundleTooLarge(f"a bundle of {size} bytes can't be sealed", why=f"the format allows {MAX_FILE_BYTES}")
    return b"".join((signed, sign(signing_input(signed)), body))


def signing_input(signed: bytes) -> bytes:
    """Return the message that a producer signs, from every byte before the signature."""
    return DOMAIN + b"sig\0" + hashlib.sha256(signed).digest()


def parse_head(head: bytes, *, source: str) -> tuple[int, int]:
    """Return the lengths of index and wraps from the first 17 bytes of a bundle.

    Args:
        head: the first bytes of a file, as many as are at hand.
        source: names the bundle in messages.

    Raises:
        BundleError: it is no bundle, of a later version, cut off, or over a limit.
    """
    if not head.startswith(_MAGIC):
        raise _foreign(head, source)
    if len(head) > len(_MAGIC) and head[len(_MAGIC)] > _VERSION:
        raise UnsupportedVersion(
            f"{source} has format version {head[len(_MAGIC)]}",
            why=f"this FluxRun reads versions up to {_VERSION}",
            next_step="upgrade with `pip install --upgrade pytest-fluxrun`",
        )
    if len(head) < _HEAD.size:
        raise _truncated(source, len(head), _HEAD.size)
    _, version, index_bytes, wraps_bytes = _HEAD.unpack_from(head)
    if version != _VERSION:
        raise DamagedBundle(f"{source} has format version {version}", why="there is no such version", next_step=_AGAIN)
    if index_bytes > MAX_INDEX_BYTES or wraps_bytes > _MAX_WRAPS_BYTES:
        raise BundleTooLarge(
            f"{source} declares an index of {index_bytes} and wraps of {wraps_bytes} bytes",
            why=f"the format allows {MAX_INDEX_BYTES} and {_MAX_WRAPS_BYTES}",
            next_step=_AGAIN,
        )
    return index_bytes, wraps_bytes


def split(data: bytes, *, source: str = "the bundle") -> Parts:
    """Return the parts of a whole bundle, after every check that needs no key.

    Args:
        data: the whole file.
        source: names the bundle in messages.

    Raises:
        BundleError: see the spec's section 8 for the order of the checks.
    """
    if len(data) > MAX_FILE_BYTES:
        why = f"the format allows {MAX_FILE_BYTES}"
        raise BundleTooLarge(f"{source} has {len(data)} bytes", why=why, next_step=_AGAIN)
    index_bytes, wraps_bytes = parse_head(data[: _HEAD.size], source=source)
    wraps_at = _HEAD.size + index_bytes
    body_head_at = wraps_at + wraps_bytes
    body_at = body_head_at + _BODY.size
    if len(data) < body_at:
        raise _truncated(source, len(data), body_at)
    body_bytes, body_sha256, producer_id, signature = _BODY.unpack_from(data, body_head_at)
    body = memoryview(data)[body_at:]
    _check_body(body, body_bytes, body_sha256, body_at, source)
    return Parts(
        index=data[_HEAD.size : wraps_at],
        wraps=_split_wraps(data[wraps_at:body_head_at], source),
        producer_id=producer_id,
        signed=data[: body_at - _SIGNATURE_BYTES],
        signature=signature,
        body=body,
    )


def _check_body(body: memoryview, declared: int, sha256: bytes, body_at: int, source: str) -> None:
    if declared > MAX_FILE_BYTES:
        why = f"the format allows a file of {MAX_FILE_BYTES}"
        raise BundleTooLarge(f"{source} declares a body of {declared} bytes", why=why, next_step=_AGAIN)
    if len(body) < declared:
        raise _truncated(source, body_at + len(body), body_at + declared)
    if len(body) > declared:
        raise _damaged(source, f"{len(body) - declared} more bytes follow its end")
    chunks = declared - _SALT_AND_COMMITMENT_BYTES
    if chunks < _TAG_BYTES or chunks % _CHUNK_BYTES < _TAG_BYTES:
        raise _damaged(source, f"an encrypted body can't have {declared} bytes")
    if hashlib.sha256(body).digest() != sha256:
        raise _damaged(source, "its body doesn't have the digest that its header states")


def _split_wraps(packed: bytes, source: str) -> tuple[Wrap, ...]:
    wraps: dict[bytes, Wrap] = {}
    at = 0
    while at < len(packed):
        algorithm, key_id = packed[at], packed[at + 1 : at + _WRAP_HEAD_BYTES]
        size = WRAP_BYTES.get(algorithm)
        if size is None:
            raise _damaged(source, f"wrap {len(wraps) + 1} has the unknown algorithm {algorithm}")
        at += _WRAP_HEAD_BYTES
        if at + size > len(packed):
            raise _damaged(source, f"wrap {len(wraps) + 1} is cut off")
        if key_id in wraps:
            raise _damaged(source, f"two wraps are for the key {key_id.hex()}")
        wraps[key_id] = Wrap(algorithm, key_id, packed[at : at + size])
        at += size
    if not 1 <= len(wraps) <= MAX_WRAPS:
        why = f"the format allows 1 to {MAX_WRAPS}"
        raise BundleTooLarge(f"{source} has {len(wraps)} wraps", why=why, next_step=_AGAIN)
    return tuple(wraps.values())


def _foreign(head: bytes, source: str) -> NotABundle | TruncatedBundle:
    if _MAGIC.startswith(head[: len(_MAGIC)]):
        return _truncated(source, len(head), _HEAD.size)
    if head.startswith(b"version https://g"):
        why, step = "it is a Git LFS pointer, not the file", "fetch the file with `git lfs pull`"
    elif head[1:4] == _MAGIC[1:4]:
        why = "its first bytes were changed on the way, as a transfer in text mode does"
        step = "add `*.fluxrun binary` to .gitattributes and " + _AGAIN
    else:
        why, step = "it doesn't begin with the eight bytes of FXR1", "delete it, or " + _AGAIN
    return NotABundle(f"{source} is not a FluxRun bundle", why=why, next_step=step)


def _truncated(source: str, size: int, needed: int) -> TruncatedBundle:
    return TruncatedBundle(f"{source} is cut off", why=f"it has {size} bytes of at least {needed}", next_step=_AGAIN)


def _damaged(source: str, why: str) -> DamagedBundle:
    return DamagedBundle(f"{source} is damaged", why=why, next_step=_AGAIN)
