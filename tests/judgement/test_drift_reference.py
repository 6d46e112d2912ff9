"""docs/reference/drift.md: each kind is there once, with its default and an example whose rule allows what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_fluxrun.config import Settings
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.judgement.drift_rules import FAILING, DriftPolicy, failing_drifts
from pytest_fluxrun.judgement.guard import DriftRules, Guard

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "drift.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE))
STRICT = DriftPolicy.of(Settings(), strict=True)


def test_every_kind_is_described_once() -> None:
    """No kind is missing, none is invented."""
    assert {kind.value for kind in DriftKind} == set(SECTIONS)
    assert len(DriftKind) == PAGE.count("\n### ")


@pytest.mark.parametrize("kind", DriftKind)
def test_default_and_example_of_a_kind_are_true(kind: DriftKind) -> None:
    """The first word is its default; the example's rule allows the drift that it shows, and is of that kind."""
    section = SECTIONS[kind]
    example = dict(re.findall(r"^(code|shown|allow): {3}(.*)$", section, re.MULTILINE))
    places = tuple(line.strip() for line in re.findall(r"^ {13}(.*)$", section, re.MULTILINE))
    shown, allow = example["shown"], example["allow"]
    number = re.search(r"call\[(\d+)\]", allow)
    drift = Drift(kind, int(number[1]) if number else 0, shown.partition(": ")[2], places)
    guard = Guard(run="0" * 26, sha256="0" * 64, drift=DriftRules(allow=(allow,)))

    assert section.strip().startswith("Fails." if kind in FAILING else "Noted")
    assert (1, f"{kind}: ") == (section.count("```\ncode:"), shown[: len(kind) + 2])
    assert (drift,) == failing_drifts([drift], None, STRICT)
    assert () == failing_drifts([drift], guard, STRICT)
