"""Which digests the recorded program made of secrets that redaction took: its outcome and its answers tell. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_fluxrun.derived import Derived, strings
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.run import Recording
from pytest_fluxrun.tokens import Tokens

__all__ = ["digests_of_answers", "recorded_digests", "served", "unlike"]

_WORSE = 1_000_000
_MOST_GUESSES = 8
"""Each costs a replay."""


def recorded_digests(evidence: Evidence) -> dict[str, str]:
    """By digest that the replay made, the recorded one; {} where the outcome differs by nothing but the digests.

    Returns:
        Both hexadecimal.
    """
    if not evidence.derived or not unlike(evidence):
        return {}
    return Derived(evidence.derived).recorded_digests(list(_differing(evidence)))


def digests_of_answers(evidence: Evidence, recording: Recording) -> Iterator[dict[str, str]]:
    """What the recorded program may have made in the place of one of the digests, by what it was answered.

    A program that keeps a digest of a password, in a table or a cache, and compares it by itself, is told it again by
    an answer. Each guess is one pair, both hexadecimal; a replay that comes to the recorded outcome with it proves it.
    """
    if evidence.deadline or evidence.leaks:
        return  # no digest decided that, and each guess would wait as long
    said = {text for interaction in recording.interactions for text in strings(interaction.answer)}
    guesses = 0
    for digest in evidence.derived:
        written = re.compile(f"(?<![0-9a-f])[0-9a-f]{{{len(digest)}}}(?![0-9a-f])")
        for told in sorted({match for text in said for match in written.findall(text)} - set(evidence.derived)):
            guesses += 1
            if guesses > _MOST_GUESSES:
                return
            yield {digest: told}


def unlike(evidence: Evidence) -> int:
    """How many texts of the outcome differ by more than secrets; very many where a replay went another way."""
    if evidence.unrecorded or evidence.leaks or evidence.deadline:
        return _WORSE
    tokens, derived = Tokens(evidence.tokens), Derived(evidence.derived)
    return sum(
        not tokens.alike(recorded, got) and not derived.alike(recorded, got, tokens)
        for recorded, got in _differing(evidence)
    )


def _differing(evidence: Evidence) -> Iterator[tuple[str, str]]:
    pairs = zip(strings(evidence.recorded), strings(evidence.outcome), strict=False)
    return ((recorded, got) for recorded, got in pairs if recorded != got)


def served(digests: Mapping[str, str]) -> Iterator[Drift]:
    """What a replay with recorded digests says of it."""
    if digests:
        text = f"digests made of redacted secrets ({len(digests)}) were served as the recorded outcome or answers tell"
        yield Drift(DriftKind.DERIVED_VALUE, 0, text)
