"""What a source edit is, and applying one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Change", "Edit", "applied", "stacked", "touched"]

_AFTER = 7
_GROUPS = {"rename": "names", "client": "libraries", "upgrade": "libraries"}
"""Sorts that aren't mixed with others: a function's new name and a new line in it are an exception where they meet."""

Change = tuple[str, str, str]
"""Path in the project, text that stands there, text to put in its place: wherever it stands."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A source edit that keeps the behaviour.

    Attributes:
        name: what it does, in a few words.
        sort: rename, extract, …
        changes: made in order.
        added: new files, text by path.
        unless: where the guards turn red all the same: the reason and verdict that they give; the documentation of the
            judgement lists why.
    """

    name: str
    sort: str
    changes: tuple[Change, ...]
    added: Mapping[str, str] = field(default_factory=dict)
    unless: tuple[str, str] | None = None


def applied(edit: Edit, sources: Mapping[str, str]) -> dict[str, str]:
    """The files that an edit changes or adds, as they are after it.

    Raises:
        ValueError: a text that is to be replaced isn't there.
    """
    found = dict(edit.added)
    for path, before, after in edit.changes:
        text = found.get(path, sources.get(path, ""))
        if before not in text:
            raise ValueError(f"{edit.name}: {path} doesn't hold {before!r}")
        found[path] = text.replace(before, after)
    return found


def stacked(edits: Iterable[Edit], sources: Mapping[str, str]) -> list[tuple[list[Edit], dict[str, str]]]:
    """Edits made on top of each other, as many at once as find their texts: in few stacks, with the files of each."""
    stacks: list[tuple[list[Edit], dict[str, str]]] = []
    for edit in edits:
        for taken, texts in stacks:
            if _GROUPS.get(taken[0].sort) != _GROUPS.get(edit.sort):
                continue
            try:
                changed = applied(edit, {**sources, **texts})
            except ValueError:
                continue
            taken.append(edit)
            texts.update(changed)
            break
        else:
            stacks.append(([edit], applied(edit, sources)))
    return stacks


def touched(edit: Edit, sources: Mapping[str, str]) -> set[tuple[str, int]]:
    """Path and number of each line of the unedited sources that an edit replaces or inserts beside, and a few after.

    A function's first line doesn't run when it is called, what follows does. An import concerns all of its module.
    """
    found = set()
    for path, before, _ in edit.changes:
        text = sources.get(path, "")
        if before.startswith("import "):
            found |= {(path, number) for number in range(1, text.count("\n") + 1)}
        start = text.find(before)
        while start >= 0:
            first = text.count("\n", 0, start) + 1
            found |= {(path, first + number) for number in range(before.rstrip("\n").count("\n") + 1 + _AFTER)}
            start = text.find(before, start + len(before))
    return found
