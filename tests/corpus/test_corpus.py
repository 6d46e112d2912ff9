"""What guards say of edits that keep the behaviour, and of faults: `docs/explanation/judgement.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpus import cinema_edits, shop_edits
from tests.corpus.editing import Edit, touched
from tests.corpus.explanations import explanations, unexplained
from tests.corpus.replaying import Session
from tests.corpus.service import Service

EDITS = {"shop": shop_edits.EDITS, "cinema": cinema_edits.EDITS}
SAMPLE = 15
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "judgement.md"
CASES = [(name, edit) for name, edits in EDITS.items() for edit in edits]
EXCEPTIONS = [(name, edit) for name, edit in CASES if edit.unless]
Services = Callable[[str], Service]

pytestmark = pytest.mark.xdist_group("corpus")


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    """The page counts the edits and those that stay green, no two of a name."""
    assert len({(name, edit.name) for name, edit in CASES}) == len(CASES)
    assert f"\n{len(CASES)} edits; " in PAGE.read_text()
    assert f" {len(CASES) - len(EXCEPTIONS)} stay green: " in PAGE.read_text()


@pytest.mark.parametrize("name", EDITS)
def test_edits_that_keep_the_behaviour_stay_green(name: str, service: Services) -> None:
    """Every run of the service matches, whichever of them are made."""
    its = service(name)
    ran = frozenset().union(*its.ran.values())
    assert [] == [edit.name for edit in EDITS[name] if not touched(edit, its.sources) & ran], "no run executes it"

    assert {} == its.reds(edit for edit in EDITS[name] if not edit.unless)


@pytest.mark.parametrize(("name", "edit"), EXCEPTIONS, ids=[f"{name}: {edit.name}" for name, edit in EXCEPTIONS])
def test_exception_is_red_for_the_reason_that_the_page_gives(name: str, edit: Edit, service: Services) -> None:
    """It is an exception as long as it is red; the page has its reason."""
    session = service(name).edited(edit)

    assert {edit.unless} == {(reason, verdict) for verdict, reason, _ in session.reds}, session.output
    assert f"| {edit.name} | `{edit.unless and edit.unless[0]}` |" in PAGE.read_text()


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


@pytest.mark.parametrize("code", [2, 3, 4, 5])
def test_a_session_that_judged_nothing_is_neither_green_nor_red(code: int) -> None:
    """An interrupt, an error of pytest's own, one in the options, no item: no mutant is caught by that."""
    with pytest.raises(AssertionError):
        _ = Session(code).is_red
