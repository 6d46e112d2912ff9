"""Why each mutant that stays green does: what `survivors.toml` says of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["explanations", "is_equivalent", "unexplained"]

_FILE = Path(__file__).parent / "survivors.toml"


def explanations(service: str) -> dict[str, str]:
    """The reason of each survivor of a service, by the mutant's name."""
    read = tomllib.loads(_FILE.read_text())
    return {name: read["reasons"].get(reason) or read["equivalent"][reason] for name, reason in read[service].items()}


def is_equivalent(service: str, survivor: str) -> bool:
    """Whether the service behaves with a survivor as it does without."""
    read = tomllib.loads(_FILE.read_text())
    return read[service].get(survivor) in read["equivalent"]


def unexplained(service: str, survivors: Iterable[str]) -> list[str]:
    """Survivors that the file says nothing of."""
    known = explanations(service)
    return [name for name in survivors if not known.get(name)]
