"""Whether an operand of a verification stands for a secret: a redaction token, or a digest made of one. Pure."""

from __future__ import annotations

import base64
import contextlib
import functools
import threading
from collections.abc import Mapping
from typing import Any, Final

from pytest_fluxrun.derived import written

__all__ = ["SecretOperands"]

_MOST_DIGESTS: Final = 256
_SHORTEST: Final = 16
"""A digest as short as a word would be found in texts that hold it by chance."""


class SecretOperands:
    """What stands for secrets in one replayed run. Safe to use from any thread: a hash is made on any.

    Args:
        tokens: the run's redaction tokens.
        recorded: digests that are known to have been made in the place of others, hexadecimal.
    """

    def __init__(self, tokens: tuple[str, ...], recorded: Mapping[str, str] | None = None) -> None:
        self._tokens = tokens
        self._recorded = recorded or {}
        self._digests: tuple[bytes, ...] = ()
        self._lock = threading.Lock()

    def derive(self, material: bytes, made: bytes) -> bytes:
        """A digest was made; remember it if a token, or a digest made of one, went in. Gives what to take for it."""
        if not self._tokens or len(made) < _SHORTEST or not self.holds(material):
            return made
        known = self._recorded.get(made.hex())
        taken = made if known is None else bytes.fromhex(known)
        with self._lock:
            fresh = (digest for digest in dict.fromkeys((made, taken)) if digest not in self._digests)
            self._digests = (*self._digests, *fresh)[-_MOST_DIGESTS:]
        return taken

    @property
    def derived(self) -> tuple[str, ...]:
        """The digests that were made of tokens, hexadecimal."""
        return tuple(digest.hex() for digest in self._digests)

    def holds(self, operand: Any) -> bool:
        """Whether the operand is or holds a token, as text or as what it decodes to, or a digest made of one."""
        if isinstance(operand, str):
            operand = operand.encode("utf-8", "surrogatepass")
        if not isinstance(operand, bytes | bytearray | memoryview):
            return False
        data = bytes(operand)
        text = data.decode("latin-1")
        if data in _decoded(self._tokens) or any(token in text for token in self._tokens):
            return True
        return any(form in data for digest in self._digests for form in _forms(digest))


@functools.lru_cache(maxsize=1024)
def _forms(digest: bytes) -> tuple[bytes, ...]:
    """A digest as it is, and as it is written."""
    return (digest, *(text.encode() for text in written(digest)))


@functools.lru_cache(maxsize=8)
def _decoded(tokens: tuple[str, ...]) -> frozenset[bytes]:
    """The bytes that tokens stand for where they replace base64 or hex, as of signatures."""
    found = set()
    for token in tokens:
        with contextlib.suppress(ValueError):
            found.add(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        with contextlib.suppress(ValueError):
            found.add(bytes.fromhex(token))
    return frozenset(found - {b""})
