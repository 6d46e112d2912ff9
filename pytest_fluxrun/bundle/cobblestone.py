"""Cobblestone-256, the body's encryption (C2SP chunked-encryption): native from cryptography 50, else on AES-GCM alone.

Plaintext leaves only as a whole and only after the last chunk has been authenticated.
"""

from __future__ import annotations

import hmac
import ssl
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

__all__ = ["decrypt", "decrypt_portable", "encrypt", "encrypt_portable"]

_LABEL: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_CHUNK_BYTES: Final = 16384
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 24
_HEAD_BYTES: Final = 56


def encrypt_portable(key: bytes, context: bytes, plaintext: bytes) -> bytes:
    """Return the ciphertext of `plaintext`, made with AES-GCM alone.

    Args:
        key: 32 bytes, used for nothing else.
        context: what the ciphertext is bound to.
        plaintext: any length.
    """
    salt = ssl.RAND_bytes(_SALT_BYTES)
    cipher, nonce, commitment = _derive(key, salt, context)
    view = memoryview(plaintext)
    chunks = [salt, commitment]
    for number in range(len(plaintext) // _CHUNK_BYTES + 1):
        chunk = view[number * _CHUNK_BYTES : (number + 1) * _CHUNK_BYTES]
        chunks.append(cipher.encrypt((nonce ^ number).to_bytes(12, "big"), chunk, None))
    return b"".join(chunks)


def decrypt_portable(key: bytes, context: bytes, ciphertext: memoryview) -> bytes | None:
    """Return the plaintext, or None where any byte of key, context or ciphertext is another one."""
    length = len(ciphertext) - _HEAD_BYTES
    sealed_chunk = _CHUNK_BYTES + _TAG_BYTES
    if len(key) != _KEY_BYTES or length < _TAG_BYTES or length % sealed_chunk < _TAG_BYTES:
        return None
    cipher, nonce, commitment = _derive(key, bytes(ciphertext[:_SALT_BYTES]), context)
    if not hmac.compare_digest(commitment, ciphertext[_SALT_BYTES:_HEAD_BYTES]):
        return None
    chunks = []
    try:
        for number, at in enumerate(range(_HEAD_BYTES, len(ciphertext), sealed_chunk)):
            chunk = ciphertext[at : at + sealed_chunk]
            chunks.append(cipher.decrypt((nonce ^ number).to_bytes(12, "big"), chunk, None))
    except InvalidTag:
        return None
    return b"".join(chunks)


def _derive(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, int, bytes]:
    derived = HKDFExpand(SHA512(), 76, _LABEL + salt + context).derive(key)
    return AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big"), derived[44:]


try:
    from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
except ImportError:
    encrypt, decrypt = encrypt_portable, decrypt_portable
else:

    def encrypt(key: bytes, context: bytes, plaintext: bytes) -> bytes:
        """Return the ciphertext of `plaintext`; see `encrypt_portable`."""
        encryptor = Cobblestone256Encryptor(key, context)
        return encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(key: bytes, context: bytes, ciphertext: memoryview) -> bytes | None:
        """Return the plaintext or None; see `decrypt_portable`."""
        try:
            decryptor = Cobblestone256Decryptor(key, context)
            return decryptor.update(ciphertext) + decryptor.finalize()
        except (InvalidTag, ValueError):
            return None
