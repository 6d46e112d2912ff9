"""What guards say of edits that keep the behaviour, and of faults: `docs/explanation/judgement.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpus import cinema_edits, shop_edits
from tests.corpus.editing import Edit, touched
from tests.corpus.explanations import explanations, unexplained
from tests.corpus.service import Service

EDITS = {"shop": shop_edits.EDITS, "cinema": cinema_edits.EDITS}
SAMPLE = 20
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "judgement.md"
CASES = [(name, edit) for name, edits in EDITS.items() for edit in edits]
Services = Callable[[str], Service]

pytestmark = pytest.mark.xdist_group("corpus")


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    """Forty edits of two services; each exception is on the page."""
    assert len(CASES) >= 40
    assert len({(name, edit.name) for name, edit in CASES}) == len(CASES)
    exceptions = [edit.name for _, edit in CASES if edit.unless]
    assert [] == [name for name in exceptions if f"| {name} |" not in PAGE.read_text()]


@pytest.mark.parametrize(("name", "edit"), CASES, ids=[f"{name}: {edit.name}" for name, edit in CASES])
def test_edit_that_keeps_the_behaviour_stays_green(name: str, edit: Edit, service: Services) -> None:
    """Every run of the service matches; where the page says that one can't, it is red for that reason."""
    its = service(name)
    assert touched(edit, its.sources) & frozenset().union(*its.ran.values()), "no run executes what was edited"

    session = its.edited(edit)

    reasons = {(reason, verdict) for verdict, reason, _ in session.reds}
    assert ({edit.unless} if edit.unless else set()) == reasons, session.output
    assert session.is_red == bool(edit.unless), session.output
    assert len(its.bundles) == len(session.items)


@pytest.mark.parametrize("name", EDITS)
def test_unedited_source_is_green(name: str, service: Services) -> None:
    """Every run was replayed and matches."""
    its = service(name)
    assert not its.baseline.is_red, its.baseline.output
    assert {"match"} == {item["verdict"] for item in its.baseline.items.values()}
    assert its.bundles.keys() == its.baseline.items.keys()


@pytest.mark.parametrize("name", EDITS)
def test_fault_turns_a_guard_red(name: str, service: Services) -> None:
    """A sample of the mutants, the same each time; `python -m tests.corpus.measure` judges all of them."""
    its = service(name)
    mutants = its.mutants()
    sample = mutants[:SAMPLE]

    alive = [mutant.name for mutant in sample if not its.mutated(mutant).is_red]

    assert [] == unexplained(name, alive)
    assert set() == explanations(name).keys() - {mutant.name for mutant in mutants}, "explained, but no mutant any more"
