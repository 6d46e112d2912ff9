"""Preambles as start-up uses them: which ones are alike, and how a start-up differed from the recorded one. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import orjson

from pytest_fluxrun import registry
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.instants import CLOCKS
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.run import Interaction, Recording
from pytest_fluxrun.values import Value, decode, plain

__all__ = ["content_of", "start_up_drifts"]

_MOST_NAMED = 5
_NOTED = frozenset({DriftKind.CHANGED_EFFECT, DriftKind.NEW_EFFECT, DriftKind.ENTROPY_EXTRA})


def content_of(preamble: Recording | None, tokens: Sequence[str]) -> str:
    """A digest, equal for preambles that start an app alike: calls, answers, environment, randomness; never times.

    Args:
        tokens: the run's redaction tokens, drawn anew for each run: all count as the same.
    """
    if preamble is None:
        return ""
    parts = [*map(_call, preamble.interactions), *_reads(preamble)]
    token = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))) if tokens else None
    texts = (orjson.dumps(part, option=orjson.OPT_SORT_KEYS).decode() for part in parts)
    folded = sorted(text if token is None else token.sub("…", text) for text in texts)
    return hashlib.blake2b("\n".join(folded).encode(), digest_size=16).hexdigest()


def _call(interaction: Interaction) -> Value:
    kind = registry.built_in_kind(interaction.kind)  # not one that a library brings: it may not be loaded yet
    try:
        canonical = None if kind is None else kind.canonical(decode(interaction.request))
    except (FluxRunError, LookupError, TypeError, ValueError, AttributeError):  # a form that its kind doesn't read
        canonical = None
    if kind is None or canonical is None:
        return [interaction.kind, interaction.request, interaction.answer, interaction.error]
    return [interaction.kind, canonical, kind.lasting(interaction.answer), interaction.error]


def _reads(preamble: Recording) -> Iterator[Value]:
    for source, by_key in preamble.reads.items():
        if source == "dns":  # what a machine is called, and where it found others, is no way of starting
            continue
        for key, values in by_key.items():
            yield [source, key, values[:1] if all(value == values[0] for value in values) else values]
    for segment in preamble.segments:
        for read in segment.reads:
            if read.function not in CLOCKS:
                yield [read.function, read.where, read.values]


def start_up_drifts(preamble: Recording, replayers: Sequence[Replayer]) -> tuple[Drift, ...]:
    """How one process's start-up differed from the preamble that answered it: each difference is `start-up` drift.

    Args:
        replayers: the sessions of its import and of each entry's start.
    """
    found = [_drift(f"not recorded: {missed.asked}") for replayer in replayers for missed in replayer.missed]
    found += (
        _drift(f"{drift.kind}: {drift.text}", drift.paths)
        for replayer in replayers
        for drift in replayer.drifts
        if drift.kind in _NOTED
    )
    for said, indexes in (("not made", _not_made(preamble, replayers)), ("in another order", _reordered(replayers))):
        if indexes:
            found.append(_drift(f"{said}: {_named(preamble, indexes)}"))
    return tuple(found)


def _drift(text: str, paths: tuple[str, ...] = ()) -> Drift:
    return Drift(DriftKind.START_UP, 0, text, paths)


def _not_made(preamble: Recording, replayers: Iterable[Replayer]) -> list[int]:
    """Calls that no start-up made, not even an equal one: how often a thread polls until the first run is chance."""
    made = {played.index for replayer in replayers for played in replayer.played if played.index >= 0}
    asked = {orjson.dumps(preamble.interactions[index].request) for index in made}
    return [
        index
        for index, interaction in enumerate(preamble.interactions)
        if index not in made and (interaction.effect or orjson.dumps(interaction.request) not in asked)
    ]


def _reordered(replayers: Iterable[Replayer]) -> list[int]:
    """Calls that a lane made after one that was recorded later in the same lane."""
    found = []
    for replayer in replayers:
        latest: dict[tuple[str, int], int] = {}
        for played in replayer.played:
            if played.index >= 0:
                key = (played.lane, replayer.recording.interactions[played.index].lane)
                if played.index < latest.get(key, -1):
                    found.append(played.index)
                latest[key] = max(latest.get(key, -1), played.index)
    return found


def _named(preamble: Recording, indexes: Sequence[int]) -> str:
    named = [
        f"{preamble.interactions[index].boundary} {_text(preamble.interactions[index])}"
        for index in indexes[:_MOST_NAMED]
    ]
    if len(indexes) > _MOST_NAMED:
        named.append(f"and {len(indexes) - _MOST_NAMED} more")
    return "; ".join(named)


def _text(interaction: Interaction) -> str:
    return registry.text_of(interaction, plain(interaction.request))
