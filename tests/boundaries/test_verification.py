"""hmac.compare_digest without the C extension: each result goes to the lane, and may come from it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_fluxrun.boundaries.verification import boundary
from pytest_fluxrun.config import Settings, use_settings
from pytest_fluxrun.context import LANE
from tests.boundaries.sessions import Record, Recorder, seams, session


@pytest.fixture
def pure() -> Iterator[None]:
    """Settings that leave the C extension out."""
    use_settings(Settings(pure=True))
    yield
    use_settings(None)


@pytest.mark.usefixtures("pure")
@pytest.mark.parametrize("module", [hmac, secrets], ids=["hmac", "secrets"])
def test_results_go_to_the_lane(module: Any) -> None:
    """Function, code and result, as the C extension reports them; outside a run nothing happens."""
    reads: list[Any] = []
    with seams(boundary, hmac, secrets), session(Recorder(Record())):
        LANE.get().ambient = reads
        results = [module.compare_digest("a", "a"), module.compare_digest(b"a", b"b")]
        LANE.get().ambient = None
        results.append(module.compare_digest("a", "a"))

    assert results == [True, False, True]
    assert [(read[0], read[1].co_name, read[3]) for read in reads] == [
        ("hmac.compare_digest", "test_results_go_to_the_lane", True),
        ("hmac.compare_digest", "test_results_go_to_the_lane", False),
    ]


@pytest.mark.usefixtures("pure")
def test_a_replay_answers_for_tokens_only() -> None:
    """The replay is asked with both operands; NotImplemented makes the comparison real."""
    asked: list[tuple[Any, ...]] = []

    def ambient(*question: Any) -> Any:
        asked.append(question)
        return True if "fx1234567" in question else NotImplemented

    with seams(boundary, hmac), session(Recorder(Record())):
        LANE.get().ambient = ambient
        results = [hmac.compare_digest("fx1234567", "real"), hmac.compare_digest("a", "b")]

    assert results == [True, False]
    assert asked == [("hmac.compare_digest", "fx1234567", "real"), ("hmac.compare_digest", "a", "b")]


def test_the_extension_makes_the_seam_needless() -> None:
    """Where it interposes the C function, no attribute is patched."""
    pytest.importorskip("pytest_fluxrun._ambient")
    use_settings(Settings())
    try:
        assert list(boundary.patches(hmac)) == []
    finally:
        use_settings(None)
