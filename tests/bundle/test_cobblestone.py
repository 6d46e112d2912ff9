"""Both body ciphers against the C2SP vectors that cryptography ships, and against each other."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_fluxrun.bundle import cobblestone

_FILE = Path(cryptography_vectors.__file__).parent / "chunked-encryption" / "vectors.json"
VECTORS = [
    vector
    for vector in json.loads(_FILE.read_text(encoding="utf-8"))["vectors"]
    if vector["aead"] == "AEAD_AES_256_GCM"
]


def test_the_native_cipher_is_used_where_there_is_one() -> None:
    """The two ciphers under test are two."""
    pytest.importorskip("cryptography.cobblestone", reason="cryptography below 50 has none")

    assert cobblestone.decrypt is not cobblestone.decrypt_portable


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_c2sp_vector(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A C2SP vector decrypts to its payload or is refused, as it says.

    The vectors use SHA-256 where Cobblestone-256 has SHA-512; the native cipher, below, checks that one.
    """
    monkeypatch.setattr(cobblestone, "SHA512", SHA256)
    ciphertext = base64.b64decode(vector["ciphertext"] or "")
    if vector.get("compressed"):
        ciphertext = zlib.decompress(ciphertext)

    plaintext = cobblestone.decrypt_portable(
        bytes.fromhex(vector["key"]), vector["context"].encode(), memoryview(ciphertext)
    )

    if vector["expect"] == "failure":
        assert plaintext is None
    else:
        assert plaintext is not None
        assert vector["payload_sha256"] == hashlib.sha256(plaintext).hexdigest()


@pytest.mark.parametrize("length", [0, 55, 56, 71, 72, 1000])
def test_both_ciphers_refuse_bytes_that_nobody_encrypted(length: int) -> None:
    """Noise of any length gives None, never an exception."""
    noise = memoryview(hashlib.shake_128(b"noise").digest(length))

    assert cobblestone.decrypt(bytes(32), b"", noise) is None
    assert cobblestone.decrypt_portable(bytes(32), b"", noise) is None


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_both_ciphers_refuse_a_key_of_another_length(size: int) -> None:
    """Only 32 bytes are a key."""
    ciphertext = memoryview(cobblestone.encrypt_portable(bytes(32), b"", b"x"))

    assert cobblestone.decrypt(bytes(size), b"", ciphertext) is None
    assert cobblestone.decrypt_portable(bytes(size), b"", ciphertext) is None


def test_there_are_c2sp_vectors_of_both_sorts() -> None:
    """The parametrisation above isn't empty."""
    assert {"success", "failure"} == {vector["expect"] for vector in VECTORS}
    assert len(VECTORS) >= 30


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 1, 1000, 16383, 16384, 16385, 32767, 32768, 40000]), st.binary(max_size=60), st.binary())
def test_each_cipher_reads_what_the_other_wrote(size: int, context: bytes, seed: bytes) -> None:
    """Native and portable ciphertexts are interchangeable, at every chunk boundary."""
    key, plaintext = hashlib.sha256(seed).digest(), hashlib.shake_128(seed).digest(size)

    native = memoryview(cobblestone.encrypt(key, context, plaintext))
    portable = memoryview(cobblestone.encrypt_portable(key, context, plaintext))

    assert plaintext == cobblestone.decrypt_portable(key, context, native)
    assert plaintext == cobblestone.decrypt(key, context, portable)
    assert cobblestone.decrypt_portable(key, context + b"x", native) is None
    assert len(native) == len(portable)
