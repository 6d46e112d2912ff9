"""Replaces the secrets of a run by tokens, everywhere in it, before anything is queued, sealed or written.

Two phases: find the secrets at named places (`secret_search`), then replace every form of each in the whole document.
Equal secrets get equal tokens inside one run and unrelated ones in any other: the key is drawn anew and forgotten.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from pytest_fluxrun.errors import FluxRunError, RedactionFailed
from pytest_fluxrun.recording.secret_forms import Tokens, escaped, forms
from pytest_fluxrun.recording.secret_names import DenyList, deny_list
from pytest_fluxrun.recording.secret_search import Search, bytes_of, is_plain_word, secrets_by_look
from pytest_fluxrun.registry import kind_named
from pytest_fluxrun.run import Interaction, Recording, Run
from pytest_fluxrun.values import Value, plain

__all__ = ["BUDGET_S", "Redacted", "redact", "redact_run"]

BUDGET_S: Final = 2.0
"""CPU seconds of the writer's thread that the redaction of one run may take."""
_CHECKS_TO_A_LOOK: Final = 8
_MAX_SECRETS: Final = 1000
_LONG_NUMBER: Final = 12


@dataclass(frozen=True, slots=True)
class Redacted:
    """A document without its secrets.

    Args:
        tree: a new tree; nothing of it is shared with the one given.
        tokens: what now stands for secrets, those of fewer than six characters left out.
    """

    tree: Value
    tokens: tuple[str, ...]


def redact(
    tree: Value,
    *,
    key: bytes,
    named: Iterable[tuple[str, Any]] = (),
    deny: Iterable[str] = (),
    allow: Iterable[str] = (),
    budget_s: float = BUDGET_S,
) -> Redacted:
    """Replace the secrets in a document of tagged JSON.

    Args:
        tree: the document; it isn't changed.
        key: random bytes of this run.
        named: further (name, value) pairs to judge: what only a kind can name, such as SQL parameters by column.
        deny: further names of secrets, counting wherever they occur in a name.
        allow: names that hold no secret.
        budget_s: CPU seconds of this thread.

    Raises:
        RedactionFailed: it took too long or failed in any way; the document must not be stored.
    """
    try:
        return _redact(tree, key, named, deny_list(tuple(deny), tuple(allow)), _deadline(budget_s))
    except RedactionFailed:
        raise
    except (
        Exception
    ) as error:  # whatever it is, an unredacted payload must not be stored; the message may hold a secret
        raise RedactionFailed("a run couldn't be redacted", why=f"the redactor raised {type(error).__name__}") from None


def _redact(
    tree: Value,
    key: bytes,
    named: Iterable[tuple[str, Any]],
    names: DenyList,
    check: Callable[[], None],
) -> Redacted:
    blob = orjson.dumps(tree).decode()
    search = Search(names, check)
    search.walk(tree)
    for name, value in named:
        search.judge(name, value)
    tokens = Tokens(key)
    secrets = _global_secrets(search, blob)
    replaced = _replace_everywhere(blob, secrets, search, tokens, check)
    tree = orjson.loads(replaced)
    if search.own_place:
        tree = _OwnPlaces(search.own_place, tokens).apply(tree)
    return Redacted(tree, tokens.stand_ins())


def _deadline(budget_s: float) -> Callable[[], None]:
    ends = time.thread_time() + budget_s
    calls = itertools.count()

    def check() -> None:
        if not next(calls) % _CHECKS_TO_A_LOOK and time.thread_time() > ends:
            raise RedactionFailed("a run couldn't be redacted", why=f"it took more than {budget_s} s of CPU time")

    return check


def _global_secrets(search: Search, blob: str) -> list[str]:
    """Longest first, so that one inside another doesn't spoil it; a word that is also a key, only at its place."""
    keys = "\n".join(search.keys)
    found = dict.fromkeys((*search.secrets, *map(_unescaped, secrets_by_look(blob))))
    chosen = []
    for secret in found:
        if is_plain_word(secret) and secret in keys:
            search.own_place["*", secret] = None
        else:
            chosen.append(secret)
    if len(chosen) > _MAX_SECRETS:
        raise RedactionFailed("a run couldn't be redacted", why=f"it holds more than {_MAX_SECRETS} secrets")
    return sorted(chosen, key=len, reverse=True)


def _unescaped(text: str) -> str:
    return text.replace("\\\\n", "\n").replace("\\n", "\n") if "\\" in text else text


# -- everywhere


def _replace_everywhere(
    blob: str,
    secrets: list[str],
    search: Search,
    tokens: Tokens,
    check: Callable[[], None],
) -> str:
    replacements = [(secret, [*forms(secret, tokens.of(secret))]) for secret in secrets]
    for packed in search.packed:
        check()
        repacked = _replace_packed(packed, replacements)
        if repacked != packed:
            blob = blob.replace(f'"{packed}"', f'"{repacked}"')
    for secret, pairs in replacements:
        check()
        for form, token in pairs:
            blob = _replaced(blob, secret, form if form.isalnum() else escaped(form), token)
    return blob


def _replaced(text: str, secret: str, form: str, token: str) -> str:
    if form not in text:
        return text
    if form.isdigit() and form == secret and len(form) < _LONG_NUMBER:
        return re.sub(rf"(?<![0-9.]){form}(?![0-9]|\.[0-9])", token, text)
    return text.replace(form, token)


def _replace_packed(packed: str, replacements: list[tuple[str, list[tuple[str, str]]]]) -> str:
    data = original = bytes_of(packed)
    for _, pairs in replacements:
        for form, token in pairs:
            encoded = form.encode("utf-8", "surrogatepass")
            if encoded in data:
                data = data.replace(encoded, token.encode())
    if data is original or data == original:
        return packed
    compressed = base64.b64decode(packed)[:2] == b"\x1f\x8b" and original[:2] != b"\x1f\x8b"
    return base64.b64encode(gzip.compress(data, mtime=0) if compressed else data).decode()


# -- at their own place


class _OwnPlaces:
    """Replaces short and common secrets where their name stands beside them, in a tree that is its own."""

    def __init__(self, found: Iterable[tuple[str, str | int]], tokens: Tokens) -> None:
        self._tokens = tokens
        self._values: dict[tuple[str, str], str] = {}
        self._anywhere: dict[str, str] = {}
        self._patterns: list[tuple[str, re.Pattern[str], str]] = []
        for name, secret in found:
            text = str(secret)
            token = tokens.of(text)
            if name == "*":
                self._anywhere[text] = token
            else:
                self._values[name, text] = token
            label = r"[\w.\-]+" if name == "*" else re.escape(name)
            pattern = rf"((?<![\w]){label}\\?[\"']?\s?[=:]\s?(?:Bearer |Basic )?\\?[\"']?){re.escape(text)}(?![\w])"
            self._patterns.append((text, re.compile(pattern), token))

    def apply(self, node: Any) -> Any:
        if type(node) is str:
            return self._text(node)
        if type(node) is list:
            if len(node) == 2 and type(node[0]) is str:  # a header, an item of a dict
                return [node[0], self._value(node[0], node[1])]
            return [self.apply(item) for item in node]
        if type(node) is dict:
            if "~" in node:
                return {name: self.apply(item) if name == "v" else item for name, item in node.items()}
            return {name: self._value(name, item) for name, item in node.items()}
        return node

    def _value(self, name: str, item: Any) -> Any:
        kind = type(item)
        if kind is str or kind is int:
            token = self._values.get((name, str(item)))
            if token is not None:
                return int(token) if kind is int else token
        if kind is list:
            return [self._value(name, one) if type(one) in (str, int) else self.apply(one) for one in item]
        return self.apply(item)

    def _text(self, text: str) -> str:
        if (token := self._anywhere.get(text)) is not None:
            return token
        for secret, pattern, token in self._patterns:
            if secret in text:
                text = pattern.sub(lambda found, token=token: found[1] + token, text)  # type: ignore[misc]
        return text


# -- a run


def redact_run(run: Run, *, deny: Iterable[str] = (), allow: Iterable[str] = (), budget_s: float = BUDGET_S) -> Run:
    """A run without its secrets: in input, outcome, interactions, reads, logs, preamble, earlier reads. Sets `tokens`.

    The key is drawn here and forgotten on return. Clock and entropy reads are kept as they are.

    Raises:
        RedactionFailed: see `redact`.
    """
    whole = (run.recording, run.preamble, run.earlier)
    recordings = [recording for recording in whole if recording is not None]
    tree = {"input": run.input, "outcome": run.outcome, "recordings": [_tree_of(recording) for recording in recordings]}
    named = (pair for recording in recordings for pair in _named_by_kinds(recording))
    redacted = redact(tree, key=os.urandom(32), named=named, deny=deny, allow=allow, budget_s=budget_s)
    parts = iter(redacted.tree["recordings"])
    recording, preamble, earlier = (None if old is None else _recording_of(old, next(parts)) for old in whole)
    assert recording is not None
    return replace(
        run,
        input=redacted.tree["input"],
        outcome=redacted.tree["outcome"],
        recording=recording,
        preamble=preamble,
        earlier=earlier,
        tokens=redacted.tokens,
    )


def _tree_of(recording: Recording) -> Value:
    return {
        "interactions": [[one.request, one.answer, one.error] for one in recording.interactions],
        "reads": recording.reads,
        "logs": list(recording.logs),
    }


def _recording_of(recording: Recording, tree: Value) -> Recording:
    interactions = tuple(
        replace(one, request=request, answer=answer, error=error)
        for one, (request, answer, error) in zip(recording.interactions, tree["interactions"], strict=True)
    )
    return replace(recording, interactions=interactions, reads=tree["reads"], logs=tuple(tree["logs"]))


def _named_by_kinds(recording: Recording) -> Iterator[tuple[str, Any]]:
    for interaction in recording.interactions:
        yield from _named_by_kind(interaction)


def _named_by_kind(interaction: Interaction) -> Iterator[tuple[str, Any]]:
    kind = kind_named(interaction.kind)
    if kind is None or "undumpable" in interaction.request:
        return
    try:
        yield from kind.named_values(plain(interaction.request), interaction.answer)
    except (FluxRunError, LookupError, TypeError, ValueError) as error:
        raise RedactionFailed(
            "a run couldn't be redacted",
            why=f"the kind {interaction.kind} can't name the values of a request: {type(error).__name__}",
        ) from None
