"""The project's own hooks, each implemented by a conftest.py; and what they can't do."""

from __future__ import annotations

import pytest

from tests.plugin.forking import Forking
from tests.plugin.kiosk import Kiosk

_HEAD = "import pytest\n\n"
_PAGES = (
    _HEAD
    + """
def pytest_fluxrun_configure(config, settings):
    return settings.model_copy(update={"timeout_s": 7.5})

def pytest_fluxrun_collect_run(config, placed):
    return not placed.name.startswith("front-")

def pytest_fluxrun_report_sections(config, run, judgement):
    return [("wiki", f"{run.entry} is {judgement.verdict}: see the page of {run.entry}")]
"""
)
_PRICE = ('{"price": amount * rate()', '{"price": amount * rate() + 0.001')


def test_settings_selection_and_sections(kiosk: Kiosk, forking: Forking) -> None:
    """Another deadline, runs left out as deselected, and a text of the project's beside each result."""
    kiosk.write("conftest.py", _PAGES)

    suite = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm")

    assert {"failed": 1, "passed": 2, "deselected": 2} == suite.results
    assert "deadline 7.5 s" in suite.line("fluxrun: runs from runs")
    assert suite.line("refund is reproduced: see the page of refund")
    assert "wiki" in suite.line("------")


def test_left_out_runs_are_required_all_the_same(kiosk: Kiosk, forking: Forking) -> None:
    """A hook that leaves runs out doesn't lower what the gate requires."""
    kiosk.fix_refund()
    kiosk.write("conftest.py", _PAGES)

    suite = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-require=5")

    assert suite.exit_code == 1
    assert "3 runs were replayed, 5 are required" in suite.output


def test_entry_that_nothing_registers(kiosk: Kiosk, forking: Forking) -> None:
    """The hook gives the app for it, by the entry's name."""
    kiosk.edit("service.py", 'app = fluxrun.instrument(front, name="front")\n', "")
    kiosk.write(
        "conftest.py",
        "def pytest_fluxrun_resolve_entry(config, entry):\n"
        "    import service\n"
        "    return {'front': service.front}.get(entry)\n",
    )
    kiosk.keep_only("front")

    suite = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm")

    assert suite.line("fluxrun: 2 runs: 1 match, 1 reproduced")


def test_values_count_as_equal_where_the_hook_says_so(kiosk: Kiosk, forking: Forking) -> None:
    """A tolerance for one path; the session says who judges; a larger difference stays red, in a clean process too."""
    kiosk.keep_only("quote")
    kiosk.edit("service.py", *_PRICE)
    kiosk.write(
        "conftest.py",
        "def pytest_fluxrun_compare(config, run, difference):\n"
        "    if difference.path == 'returned.price' and abs(difference.expected - difference.got) < 0.01:\n"
        "        return True\n",
    )

    near = forking.pytest(kiosk, "--fluxrun-dir=runs")
    kiosk.edit("service.py", "+ 0.001", "+ 0.1")
    far = forking.pytest(kiosk, "--fluxrun-dir=runs")

    assert {"passed": 2} == near.results
    assert "pytest_fluxrun_compare of" in near.line("fluxrun: judged with ")
    assert {"failed": 2} == far.results
    assert "says the same" in far.output


def test_outcomes_are_compared_in_the_form_that_the_hook_gives(kiosk: Kiosk, forking: Forking) -> None:
    """Both outcomes pass through it; what it keeps still counts."""
    kiosk.keep_only("quote")
    kiosk.edit("service.py", *_PRICE)
    kiosk.write(
        "conftest.py",
        "def pytest_fluxrun_canonicalise(config, run, outcome):\n"
        "    returned = {**outcome['returned'], 'price': round(outcome['returned']['price'])}\n"
        "    return {**outcome, 'returned': returned}\n",
    )

    rounded = forking.pytest(kiosk, "--fluxrun-dir=runs")
    kiosk.edit("service.py", '"kept": kept', '"kept": kept + 1')
    other = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm")

    assert {"passed": 2} == rounded.results
    assert {"failed": 2} == other.results
    assert "returned.kept: 1 → 2" in other.output


def test_hook_fails_what_passed_and_passes_nothing(kiosk: Kiosk, forking: Forking) -> None:
    """Its text is the first line; the failed run stays the recorded failure, whatever it says."""
    kiosk.keep_only("quote", "refund")
    kiosk.write(
        "conftest.py",
        "def pytest_fluxrun_verdict(config, run, judgement):\n"
        "    return 'a quote may not be below 5' if run.entry == 'quote' else None\n",
    )

    suite = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm")

    assert suite.line("fluxrun: 3 runs: 2 regressed, 1 reproduced")
    assert 2 == suite.lines.count("regressed: a quote may not be below 5")
    assert "the project's own pytest_fluxrun_verdict fails it" in suite.output


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("configure(config, settings): return {}", "the hook pytest_fluxrun_configure gave dict"),
        (
            "canonicalise(config, run, outcome): return {}",
            "the hook pytest_fluxrun_canonicalise gave dict",
        ),
        ("verdict(config, run, judgement): return False", "the hook pytest_fluxrun_verdict gave bool False"),
        (
            "report_sections(config, run, judgement): return ['a page']",
            "the hook pytest_fluxrun_report_sections gave str 'a page'",
        ),
    ],
)
def test_what_a_hook_cannot_give_is_one_paragraph(kiosk: Kiosk, forking: Forking, hook: str, said: str) -> None:
    """Red, with the hook's name and what it may give."""
    kiosk.keep_only("quote")
    kiosk.write("conftest.py", f"def pytest_fluxrun_{hook}\n")

    suite = forking.pytest(kiosk, "--fluxrun-dir=runs", "--fluxrun-no-confirm")

    assert suite.exit_code != 0
    assert said in suite.output
    assert "correct it in the conftest.py" in suite.output or "return settings.model_copy" in suite.output
    assert "INTERNALERROR" not in suite.output


def test_settings_and_directories_for_tests(kiosk: Kiosk, forking: Forking) -> None:
    """The fixture `fluxrun_config`, and what it says where there are no runs."""
    kiosk.write(
        "test_own.py",
        "def test_it(fluxrun_config):\n"
        "    assert ('kiosk', ['runs']) == (\n"
        "        fluxrun_config.settings.project, [path.name for path in fluxrun_config.directories])\n",
    )

    found = forking.pytest(kiosk, "--fluxrun-dir=runs", "test_own.py", "-k", "test_it")
    without = forking.pytest(kiosk, "test_own.py")

    assert {"passed": 1, "deselected": 5} == found.results
    assert {"error": 1} == without.results
    assert "fluxrun_config has nothing to give: no run directory is set" in without.output
