"""Digests that a replayed program made of redaction tokens, where the recorded one made them of the secrets.

Pure. An outcome that shows one can't be compared at that place, but says there what the recorded digest was.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pytest_fluxrun.tokens import Tokens, any_of

__all__ = ["Derived", "strings", "written"]

_FORM: Final = re.compile(r"[A-Za-z0-9+/_-]+=*")
_CONTEXT: Final = 24
"""Characters before and after a digest by which its place is found in the recorded text."""


def written(digest: bytes) -> tuple[str, ...]:
    """How a digest is written: hexadecimal, base64 with either alphabet, with and without padding."""
    coded = (base64.b64encode(digest).decode(), base64.urlsafe_b64encode(digest).decode())
    return tuple(dict.fromkeys((digest.hex(), *coded, *(text.rstrip("=") for text in coded))))


class Derived:
    """What one replay made of tokens.

    Args:
        digests: hexadecimal.
    """

    def __init__(self, digests: Iterable[str]) -> None:
        self._written = {text: digest for digest in digests for text in written(bytes.fromhex(digest))}
        # every other digit: what Django writes into links that reset a password
        self._any = any_of([*self._written, *(digest[::2] for digest in self._written.values())])

    def __bool__(self) -> bool:
        return self._any is not None

    def with_recorded(self, recorded: Any, got: Any) -> str | None:
        """A replayed text with what the recorded one has at the places of these; None where it has none of them.

        Digests have one length whatever they are made of; where the recorded text isn't one, nothing is taken.
        """
        if self._any is None or not isinstance(recorded, str) or not isinstance(got, str) or len(recorded) != len(got):
            return None
        taken = self._any.sub(lambda found: _digest(recorded[found.start() : found.end()]) or found[0], got)
        return None if taken == got else taken

    def alike(self, recorded: Any, got: Any, tokens: Tokens) -> bool:
        """Whether two texts are equal but for these, and for the places where the recorded one has tokens."""
        taken = self.with_recorded(recorded, got)
        return taken is not None and (taken == recorded or tokens.alike(recorded, taken))

    def recorded_digests(self, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
        """What the recorded program made in the place of these digests, where texts tell it; hexadecimal.

        Args:
            pairs: recorded and replayed texts, of any lengths: a digest's place is found by what stands around it.
        """
        found: dict[str, set[str]] = {}
        for recorded, got in pairs:
            for text, digest in self._written.items():
                found.setdefault(digest, set()).update(_told(text, recorded, got))
        return {digest: told.pop() for digest, told in found.items() if len(told) == 1}


def _digest(text: str) -> str:
    return text if _FORM.fullmatch(text) else ""


def _told(text: str, recorded: str, got: str) -> Iterator[str]:
    """The digests that a recorded text shows where the replayed one shows `text`."""
    decode = _decoder(text)
    for place in re.finditer(re.escape(text), got):
        before = re.escape(got[max(0, place.start() - _CONTEXT) : place.start()])
        after = re.escape(got[place.end() : place.end() + _CONTEXT])
        for match in re.finditer(f"(?<={before})[A-Za-z0-9+/_=-]{{{len(text)}}}(?={after})", recorded):
            try:
                told = decode(match[0])
            except ValueError:
                continue
            if match[0] in written(told):
                yield told.hex()


def _decoder(text: str) -> Callable[[str], bytes]:
    try:
        bytes.fromhex(text)
    except ValueError:
        return lambda coded: base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_" if {*"-_"} & {*coded} else None)
    return bytes.fromhex


def strings(value: Any) -> Iterator[str]:
    """The texts in a tree, in an order that two trees of one shape share."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from strings(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
