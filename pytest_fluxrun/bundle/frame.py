"""What the body's encryption protects: codec, lengths, the compressed payload, and padding that hides its size.

Bytes in, bytes out; no keys. The padding follows the codec, because zeros before it would compress to nothing.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from pytest_fluxrun.bundle.format import MAX_FILE_BYTES, MAX_PAYLOAD_BYTES, MAX_RATIO
from pytest_fluxrun.errors import BundleError, BundleTooLarge, DamagedBundle

__all__ = ["pack_payload", "padded_size", "unpack_payload"]

_FRAME: Final = struct.Struct(">BQQ")
_STORED: Final = 0
_ZLIB: Final = 1
_SMALLEST: Final = 1024
_RATIO_FLOOR: Final = 8192
_ZEROS: Final = bytes(1 << 16)


def pack_payload(payload: bytes) -> bytes:
    """Return the frame of a payload.

    Raises:
        BundleTooLarge: the payload is over 256 MiB, or can't be packed into a file of 64 MiB.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BundleTooLarge(f"a payload of {len(payload)} bytes can't be sealed", why=f"at most {MAX_PAYLOAD_BYTES}")
    codec, stream = _ZLIB, zlib.compress(payload, 1)
    if len(payload) > _most_payload(len(stream)) or len(payload) <= len(stream):
        codec, stream = _STORED, payload
    size = padded_size(_FRAME.size + len(stream))
    if size > MAX_FILE_BYTES:
        raise BundleTooLarge(f"a packed payload of {size} bytes can't be sealed", why=f"at most {MAX_FILE_BYTES}")
    padding = bytes(size - _FRAME.size - len(stream))
    return b"".join((_FRAME.pack(codec, len(payload), len(stream)), stream, padding))


def padded_size(size: int) -> int:
    """Return the size that a frame of `size` bytes is padded to: at least 1 KiB, else PADMÉ (at most 12% more).

    PADMÉ (Nikitin et al., PETS 2019) keeps as many leading bits of a size as the size's own bit length has bits.
    """
    if size <= _SMALLEST:
        return _SMALLEST
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def unpack_payload(frame: bytes, *, source: str = "the bundle") -> bytes | BundleError:
    """Return the payload of an authenticated frame, or the error that says why it has none.

    The error is returned, not raised, so that no traceback holds plaintext. Memory grows with what the stream really
    gives, never with what the frame declares.
    """
    if len(frame) < _FRAME.size:
        return _damaged(source, f"a frame of {len(frame)} bytes has no head")
    codec, payload_bytes, stream_bytes = _FRAME.unpack_from(frame)
    end = _FRAME.size + stream_bytes
    if end > len(frame):
        return _damaged(source, f"a stream of {stream_bytes} bytes is declared, {len(frame) - _FRAME.size} are there")
    if not _all_zero(memoryview(frame)[end:]):
        return _damaged(source, "the padding isn't zero")
    if payload_bytes > min(MAX_PAYLOAD_BYTES, _most_payload(stream_bytes)):
        return BundleTooLarge(
            f"{source} declares a payload of {payload_bytes} bytes out of {stream_bytes}",
            why=f"the format allows {MAX_PAYLOAD_BYTES} bytes and a ratio of {MAX_RATIO}",
            next_step="delete the file: no FluxRun writes that",
        )
    return _decode(codec, memoryview(frame)[_FRAME.size : end], payload_bytes, source)


def _decode(codec: int, stream: memoryview, payload_bytes: int, source: str) -> bytes | BundleError:
    if codec == _STORED:
        return bytes(stream) if payload_bytes == len(stream) else _damaged(source, "a stored payload has two lengths")
    if codec == _ZLIB:
        return _inflate(stream, payload_bytes, source)
    return _damaged(source, f"the codec {codec} is unknown")


def _inflate(stream: memoryview, payload_bytes: int, source: str) -> bytes | BundleError:
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stream, payload_bytes + 1)
    except zlib.error:
        return _damaged(source, "the zlib stream is malformed")
    if len(payload) != payload_bytes or not inflater.eof or inflater.unused_data:
        return _damaged(source, f"the zlib stream doesn't hold exactly {payload_bytes} bytes")
    return payload


def _all_zero(padding: memoryview) -> bool:
    starts = range(0, len(padding), len(_ZEROS))
    return all(padding[at : at + len(_ZEROS)] == _ZEROS[: len(padding) - at] for at in starts)


def _most_payload(stream_bytes: int) -> int:
    return MAX_RATIO * max(stream_bytes, _RATIO_FLOOR)


def _damaged(source: str, why: str) -> DamagedBundle:
    step = "upgrade the FluxRun that recorded it, or delete the file"
    return DamagedBundle(f"the content of {source} is damaged", why=why, next_step=step)
