"""One judgement of one replay under pytest: the project's own hooks take part in it, and only here.

Hooks may compare in another form, count values as equal, or fail what passed; none makes a failed run pass by decree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.verdict import Judgement, Verdict, judge

if TYPE_CHECKING:
    import pytest

    from pytest_fluxrun.execution.evidence import Evidence
    from pytest_fluxrun.judgement.comparison import OutcomeDifference
    from pytest_fluxrun.judgement.drift_rules import DriftPolicy
    from pytest_fluxrun.judgement.guard import Guard
    from pytest_fluxrun.run import Run

__all__ = ["canonical", "judged", "judging_hooks", "sections"]

_JUDGING: Final = ("pytest_fluxrun_canonicalise", "pytest_fluxrun_compare", "pytest_fluxrun_verdict")


def canonical(config: pytest.Config, run: Run, evidence: Evidence) -> Evidence:
    """The evidence with both outcomes in the form in which they are compared.

    Raises:
        FluxRunError: a hook gave what is no outcome.
    """
    if not config.hook.pytest_fluxrun_canonicalise.get_hookimpls():
        return evidence
    outcome = None if evidence.outcome is None else _form(config, run, evidence.outcome)
    return replace(evidence, recorded=_form(config, run, evidence.recorded), outcome=outcome)


def judged(config: pytest.Config, run: Run, evidence: Evidence, guard: Guard | None, policy: DriftPolicy) -> Judgement:
    """Judge evidence that `canonical` gave.

    Raises:
        FluxRunError: a hook gave what it can't give.
    """

    def alike(difference: OutcomeDifference) -> bool:
        return config.hook.pytest_fluxrun_compare(config=config, run=run, difference=difference) is True

    judgement = judge(evidence, guard, policy, alike)
    if not judgement.passed:
        return judgement
    for why in config.hook.pytest_fluxrun_verdict(config=config, run=run, judgement=judgement):
        if why is None or why == "":
            continue
        if not isinstance(why, str):
            raise _misused("pytest_fluxrun_verdict", why, "a text that says why the run fails, or None")
        return replace(judgement, verdict=Verdict.REGRESSED, passed=False, reason="hook", first_divergence=why)
    return judgement


def sections(config: pytest.Config, run: Run, judgement: Judgement) -> Iterator[tuple[str, str]]:
    """What hooks want shown with a run's result.

    Raises:
        FluxRunError: a hook gave what is no pair of texts.
    """
    for several in config.hook.pytest_fluxrun_report_sections(config=config, run=run, judgement=judgement):
        for one in several or ():
            if not (isinstance(one, tuple) and [str, str] == list(map(type, one))):
                raise _misused("pytest_fluxrun_report_sections", one, "pairs of a title and a text")
            yield one


def judging_hooks(config: pytest.Config) -> list[str]:
    """The hooks that take part in judgements here, each with the plugin that has it."""
    return [f"{name} of {one.plugin_name}" for name in _JUDGING for one in getattr(config.hook, name).get_hookimpls()]


def _form(config: pytest.Config, run: Run, outcome: Any) -> Any:
    found = config.hook.pytest_fluxrun_canonicalise(config=config, run=run, outcome=outcome)
    if found is None:
        return outcome
    if not isinstance(found, Mapping) or outcome.keys() != found.keys():
        raise _misused("pytest_fluxrun_canonicalise", found, "an outcome with the keys of the one it got, or None")
    return dict(found)


def _misused(hook: str, given: Any, wanted: str) -> FluxRunError:
    return FluxRunError(
        f"the hook {hook} gave {type(given).__name__} {given!r:.80}",
        why=f"it gives {wanted}",
        next_step="correct it in the conftest.py or the plugin that implements it",
    )
