"""Crockford's base32 in lower case, and the checked text form of keys and tokens built on it.

Knows nothing of cryptography or files. Decoding reports a problem by value, so that no traceback holds a secret's text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from pytest_fluxrun.bundle.format import DOMAIN

__all__ = ["ALPHABET", "decode_text", "encode_text"]

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RFC4648: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_CROCKFORD: Final = str.maketrans(_RFC4648, ALPHABET)
_FROM_CROCKFORD: Final = str.maketrans(ALPHABET, _RFC4648)
_DIGITS: Final = re.compile(r"[0-9a-hjkmnp-tv-z]*")
_CHECKSUM_BYTES: Final = 4


def encode_text(prefix: str, content: bytes) -> str:
    """Return `prefix`, then base32 of `content` and a 4-byte checksum over both (bundle-v1, section 9)."""
    checked = content + _checksum(prefix, content)
    return prefix + base64.b32encode(checked).decode("ascii").rstrip("=").translate(_TO_CROCKFORD)


def decode_text(prefix: str, text: str) -> tuple[bytes, str]:
    """Return the content of a checked text form and "", or b"" and one clause that says what is wrong with it.

    Upper case is accepted; space around the text is ignored. The clause never quotes the text.
    """
    lowered = text.strip().lower()
    if not lowered.startswith(prefix):
        return b"", f"it doesn't begin with {prefix!r}"
    digits = lowered[len(prefix) :]
    if not _DIGITS.fullmatch(digits):
        return b"", "it has a character outside 0-9 a-z without i l o u"
    if len(digits) % 8 in {1, 3, 6}:
        return b"", f"it has {len(digits)} characters after the prefix, which is no whole number of bytes"
    padded = digits.translate(_FROM_CROCKFORD) + "=" * (-len(digits) % 8)
    checked = base64.b32decode(padded)
    content = checked[:-_CHECKSUM_BYTES]
    if encode_text(prefix, content) != lowered:
        return b"", "its checksum doesn't fit, so a character is missing or wrong"
    return content, ""


def _checksum(prefix: str, content: bytes) -> bytes:
    return hashlib.sha256(DOMAIN + b"text\0" + prefix.encode("ascii") + content).digest()[:_CHECKSUM_BYTES]
