"""Keys that open bundles, their public halves that seal them, and tokens that sign them. No files.

Random bytes come from OpenSSL, never from `os.urandom`, which a session records and a replay answers.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from pytest_fluxrun.bundle.base32 import decode_text, encode_text
from pytest_fluxrun.bundle.format import DOMAIN, WRAP_BYTES
from pytest_fluxrun.errors import KeyFileError

__all__ = ["Algorithm", "ProjectKey", "PublicKey", "Token", "short_id"]

_PROJECT_PREFIX: Final = "fluxrun-key-"
_PUBLIC_PREFIX: Final = "fluxrun-pub-"
_TOKEN_PREFIX: Final = "fluxrun-token-"  # noqa: S105 - the prefix of every token
_SEED_BYTES: Final = 32
_ID_BYTES: Final = 16
_MLKEM_SEED_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1184

T = TypeVar("T")
_NativePublic = X25519PublicKey | MLKEM768X25519PublicKey
_NativePrivate = X25519PrivateKey | MLKEM768X25519PrivateKey


class Algorithm(IntEnum):
    """How a data key is encrypted to a recipient; the number is the wrap's `alg`."""

    X25519 = 1
    XWING = 2


_SUITES: Final = {
    Algorithm.X25519: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    Algorithm.XWING: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}
_NO_MLKEM: Final = "it is an X-Wing key, and this build of cryptography has no ML-KEM-768"
_GET_MLKEM: Final = "run `pip install --upgrade cryptography` (48 or later), or make an X25519 key with `fluxrun keys`"
_PUBLIC_BYTES: Final = {Algorithm.X25519: 32, Algorithm.XWING: 1216}


def short_id(key_id: bytes) -> str:
    """Return the form of a key's or producer's id that messages show: its first eight hex digits."""
    return f"{key_id.hex()[:8]}…"


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """The public half of a project key: it seals bundles and opens none.

    Attributes:
        algorithm: how it wraps a data key.
        raw: 32 bytes for X25519; ML-KEM-768 key, then X25519 key, for X-Wing.
        key_id: 16 bytes, derived from the two.
    """

    algorithm: Algorithm
    raw: bytes
    key_id: bytes = field(init=False, compare=False)
    _native: _NativePublic = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the id and load the key once, since sealing must be fast."""
        digest = hashlib.sha256(DOMAIN + b"key-id\0" + bytes([self.algorithm]) + self.raw).digest()
        object.__setattr__(self, "key_id", digest[:_ID_BYTES])
        object.__setattr__(self, "_native", _load_public(self.algorithm, self.raw))

    def __repr__(self) -> str:
        """Return the short id, which is no secret."""
        return f"PublicKey({short_id(self.key_id)})"

    @classmethod
    def parse(cls, text: str, *, source: str = "the public key") -> PublicKey:
        """Return the key that a `fluxrun-pub-…` text holds.

        Args:
            text: the key; space around it is ignored.
            source: names the key in messages.

        Raises:
            KeyFileError: it isn't one.
        """
        content, problem = decode_text(_PUBLIC_PREFIX, text)
        if not problem:
            try:
                return cls(Algorithm(content[0]), content[1:])
            except UnsupportedAlgorithm:
                problem = _NO_MLKEM
            except (ValueError, IndexError):
                problem = "it holds no key of a known algorithm"
        raise _unusable(source, problem, "copy it whole from `fluxrun keys`")

    def to_text(self) -> str:
        """Return the key as `fluxrun-pub-…`."""
        return encode_text(_PUBLIC_PREFIX, bytes([self.algorithm]) + self.raw)

    def wrap(self, data_key: bytes, info: bytes) -> bytes:
        """Return the HPKE ciphertext (RFC 9180, base mode, no aad) of a data key, bound to `info`."""
        return _SUITES[self.algorithm].encrypt(data_key, self._native, info=info)


@dataclass(frozen=True, slots=True, repr=False)
class ProjectKey:
    """A private key that opens the bundles of a project. Its repr never shows the secret, and it can't be pickled."""

    public: PublicKey
    _seed: bytes = field(compare=False)
    _native: _NativePrivate = field(compare=False)

    def __repr__(self) -> str:
        """Return the short id, which is no secret."""
        return f"ProjectKey({short_id(self.public.key_id)})"

    @classmethod
    def generate(cls, algorithm: Algorithm | None = None) -> ProjectKey:
        """Return a new key: X-Wing unless told, or X25519 where this build of cryptography has no ML-KEM-768."""
        seed = ssl.RAND_bytes(_SEED_BYTES)
        if algorithm is not None:
            return cls.from_seed(algorithm, seed)
        try:
            return cls.from_seed(Algorithm.XWING, seed)
        except UnsupportedAlgorithm:
            return cls.from_seed(Algorithm.X25519, seed)

    @classmethod
    def from_seed(cls, algorithm: Algorithm, seed: bytes) -> ProjectKey:
        """Return the key of a 32-byte seed: an X25519 private key, or the seed of draft-connolly-cfrg-xwing-kem.

        Raises:
            ValueError: the seed has another length.
        """
        if len(seed) != _SEED_BYTES:
            message = f"a seed has {_SEED_BYTES} bytes, not {len(seed)}"
            raise ValueError(message)
        if algorithm is Algorithm.X25519:
            single = X25519PrivateKey.from_private_bytes(seed)
            return cls(PublicKey(algorithm, single.public_key().public_bytes_raw()), seed, single)
        expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED_BYTES + _SEED_BYTES)
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
        curve = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
        raw = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        return cls(PublicKey(algorithm, raw), seed, MLKEM768X25519PrivateKey(lattice, curve))

    @classmethod
    def parse(cls, text: str, *, source: str = "the project key") -> ProjectKey:
        """Return the key that a `fluxrun-key-…` text holds.

        Args:
            text: the key; space around it is ignored.
            source: names the key in messages, which never quote it.

        Raises:
            KeyFileError: it isn't one.
        """
        key, problem = _parse_secret(_PROJECT_PREFIX, text, lambda c: cls.from_seed(Algorithm(c[0]), c[1:]))
        del text
        if key is not None:
            return key
        raise _unusable(source, problem, "copy it whole from where `fluxrun init` wrote it")

    def to_text(self) -> str:
        """Return the key as `fluxrun-key-…`: a secret."""
        return encode_text(_PROJECT_PREFIX, bytes([self.public.algorithm]) + self._seed)

    def unwrap(self, ciphertext: bytes, info: bytes) -> bytes | None:
        """Return the data key that was wrapped to this key with `info`, or None if it wasn't."""
        if len(ciphertext) != WRAP_BYTES[self.public.algorithm]:
            return None
        try:
            return _SUITES[self.public.algorithm].decrypt(ciphertext, self._native, info=info)
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """What production signs bundles with. Its repr never shows the secret, and it can't be pickled.

    Attributes:
        producer_id: 16 bytes, by which the trust file knows the producer.
        verifying_key: 32 bytes, the Ed25519 public key.
    """

    producer_id: bytes
    verifying_key: bytes
    _seed: bytes = field(compare=False)
    _signer: Ed25519PrivateKey = field(compare=False)

    def __repr__(self) -> str:
        """Return the short id, which is no secret."""
        return f"Token({short_id(self.producer_id)})"

    @classmethod
    def generate(cls) -> Token:
        """Return a new token with a new producer id."""
        return cls.from_seed(ssl.RAND_bytes(_ID_BYTES), ssl.RAND_bytes(_SEED_BYTES))

    @classmethod
    def from_seed(cls, producer_id: bytes, seed: bytes) -> Token:
        """Return the token of a 16-byte producer id and a 32-byte Ed25519 seed.

        Raises:
            ValueError: one of them has another length.
        """
        if len(producer_id) != _ID_BYTES or len(seed) != _SEED_BYTES:
            message = f"a token has {_ID_BYTES} + {_SEED_BYTES} bytes, not {len(producer_id)} + {len(seed)}"
            raise ValueError(message)
        signer = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(producer_id, signer.public_key().public_bytes_raw(), seed, signer)

    @classmethod
    def parse(cls, text: str, *, source: str = "the token") -> Token:
        """Return the token that a `fluxrun-token-…` text holds.

        Args:
            text: the token; space around it is ignored.
            source: names the token in messages, which never quote it.

        Raises:
            KeyFileError: it isn't one.
        """
        token, problem = _parse_secret(_TOKEN_PREFIX, text, lambda c: cls.from_seed(c[:_ID_BYTES], c[_ID_BYTES:]))
        del text
        if token is not None:
            return token
        raise _unusable(source, problem, "copy it whole from where `fluxrun init` printed it")

    def to_text(self) -> str:
        """Return the token as `fluxrun-token-…`: a secret."""
        return encode_text(_TOKEN_PREFIX, self.producer_id + self._seed)

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of `message`, 64 bytes."""
        return self._signer.sign(message)


def _parse_secret(prefix: str, text: str, build: Callable[[bytes], T]) -> tuple[T | None, str]:
    content, problem = decode_text(prefix, text)
    if problem:
        return None, problem
    try:
        return build(content), ""
    except UnsupportedAlgorithm:
        return None, _NO_MLKEM
    except (ValueError, IndexError):
        return None, "it holds no key of a known algorithm and length"


def _unusable(source: str, problem: str, step: str) -> KeyFileError:
    step = _GET_MLKEM if problem == _NO_MLKEM else step
    return KeyFileError(f"{source} can't be used", why=problem, next_step=step)


def _load_public(algorithm: Algorithm, raw: bytes) -> _NativePublic:
    if len(raw) != _PUBLIC_BYTES[algorithm]:
        message = f"a public key of {algorithm.name} has {_PUBLIC_BYTES[algorithm]} bytes, not {len(raw)}"
        raise ValueError(message)
    if algorithm is Algorithm.X25519:
        return X25519PublicKey.from_public_bytes(raw)
    lattice = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
    return MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:]))
