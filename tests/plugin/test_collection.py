"""Which items pytest collects from directories of runs, and how they are chosen."""

from __future__ import annotations

import shlex

import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.plugin.collection import ReplayFailed, RunItem
from tests.plugin.kiosk import Kiosk


def test_every_run_is_an_item(kiosk: Kiosk) -> None:
    """One item per bundle, and an exit code as pytest defines it."""
    suite = kiosk.replay()

    assert {"passed": 3, "failed": 2} == suite.results
    assert 1 == suite.exit_code


def test_runs_alone_without_paths(kiosk: Kiosk) -> None:
    """`--fluxrun-dir` without a path leaves the project's own tests out."""
    kiosk.write("test_own.py", "def test_own(): pass\n")
    kiosk.keep_only("quote")

    assert {"passed": 2} == kiosk.replay().results


def test_runs_beside_given_paths(kiosk: Kiosk) -> None:
    """With a path both are run."""
    kiosk.write("test_own.py", "def test_own(): pass\n")
    kiosk.keep_only("quote")

    assert {"passed": 3} == kiosk.replay("test_own.py").results


def test_several_directories(kiosk: Kiosk) -> None:
    """The option is repeatable; a directory given twice counts once."""
    (kiosk.root / "more").mkdir()
    for bundle in kiosk.bundles("quote"):
        bundle.rename(kiosk.root / "more" / bundle.name)

    suite = kiosk.replay("--fluxrun-dir=more", "--fluxrun-dir=./runs/")

    assert {"passed": 3, "failed": 2} == suite.results


def test_directory_outside_the_project(kiosk: Kiosk) -> None:
    """Runs may lie elsewhere, by absolute path."""
    kiosk.keep_only("quote")
    elsewhere = kiosk.root.parent / "elsewhere"
    kiosk.runs.rename(elsewhere)

    suite = kiosk.pytest(f"--fluxrun-dir={elsewhere}")

    assert {"passed": 2} == suite.results


def test_ini_directory_adds_the_runs_to_plain_pytest(kiosk: Kiosk) -> None:
    """`fluxrun_dir` in the ini file: plain `pytest` runs tests and runs, a given path only that."""
    kiosk.keep_only("quote")
    kiosk.write("test_own.py", "def test_own(): pass\n")
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_dir = runs\n")

    assert {"passed": 3} == kiosk.pytest().results
    assert {"passed": 1} == kiosk.pytest("test_own.py").results
    assert {"passed": 1} == kiosk.pytest(kiosk.node_id("quote")).results


def test_ini_directory_beside_testpaths(kiosk: Kiosk) -> None:
    """`testpaths` and the runs add up."""
    kiosk.keep_only("quote")
    kiosk.write("tests/test_own.py", "def test_own(): pass\n")
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_dir = runs\ntestpaths = tests\n")

    assert {"passed": 3} == kiosk.pytest().results


def test_node_id_picks_one_run(kiosk: Kiosk) -> None:
    """A node id beside `--fluxrun-dir` is that run and no other."""
    suite = kiosk.replay(kiosk.node_id("quote"))

    assert {"passed": 1} == suite.results


def test_unknown_node_id_is_a_usage_error(kiosk: Kiosk) -> None:
    """A run that isn't there exits with 4, as a missing test does."""
    suite = kiosk.replay("runs/quote-00000000000000000000000000.fluxrun::replay")

    assert 4 == suite.exit_code
    assert "INTERNALERROR" not in suite.output


def test_rerun_line_works_when_pasted(kiosk: Kiosk) -> None:
    """The rerun line of a failure, given to a shell as it stands, replays that one run."""
    kiosk.keep_only("refund")
    line = kiosk.replay().line("rerun:").removeprefix("rerun:")

    words = shlex.split(line)
    again = kiosk.pytest(*words[1:])

    assert "pytest" == words[0]
    assert {"failed": 1} == again.results
    assert "reproduced" == again.case("refund").verdict


def test_rerun_line_from_another_directory(kiosk: Kiosk) -> None:
    """The line is relative to where pytest was called."""
    kiosk.keep_only("refund")
    (kiosk.root / "deeper").mkdir()
    script = "import os, sys, pytest; os.chdir('deeper'); sys.exit(pytest.main(sys.argv[1:]))"
    first = kiosk.python("-c", script, "--fluxrun-dir=../runs", "--fluxrun-no-confirm")
    line = next(line for line in first.stdout.splitlines() if "rerun:" in line).split("rerun:")[1]

    again = kiosk.python("-c", script, *shlex.split(line)[1:])

    assert "1 failed" in again.stdout.splitlines()[-1], again.stdout


def test_keyword_and_mark_expressions(kiosk: Kiosk) -> None:
    """`-k` picks by entry or id; `-m fluxrun` is what replays a run."""
    kiosk.write("test_own.py", "def test_own(): pass\n")

    assert {"passed": 2, "deselected": 4} == kiosk.replay("test_own.py", "-k", "quote").results
    assert {"passed": 1, "deselected": 5} == kiosk.replay("test_own.py", "-m", "not fluxrun").results
    assert {"passed": 3, "failed": 2, "deselected": 1} == kiosk.replay("test_own.py", "-m", "fluxrun").results


def test_last_failed_and_exit_first(kiosk: Kiosk) -> None:
    """`--lf` replays what failed; `-x` stops at the first."""
    kiosk.replay()

    again = kiosk.replay("--lf")
    first = kiosk.replay("-x")

    assert {"failed": 2} == {name: again.results[name] for name in ("failed",)}
    assert "passed" not in again.results
    assert 1 == first.results["failed"]


def test_collect_only_reads_no_bundle(kiosk: Kiosk) -> None:
    """`--collect-only` shows node ids without a key, an app, or the bundles' content."""
    for bundle in kiosk.bundles():
        bundle.write_bytes(b"")
    kiosk.write("service.py", "raise AssertionError\n")

    suite = kiosk.replay("--collect-only", "-q")

    assert kiosk.node_id("refund") in suite.output
    assert 0 == suite.exit_code


def test_two_workers(kiosk: Kiosk) -> None:
    """Under `-n 2` the same results, counted once."""
    suite = kiosk.replay("-n", "2", plugins=["xdist"])

    assert {"passed": 3, "failed": 2} == suite.results
    assert "fluxrun: 5 runs: 3 match, 2 reproduced" == suite.line("fluxrun: 5")


def test_other_file_names_are_left_alone(kiosk: Kiosk) -> None:
    """What is neither a bundle nor a guard in the directory is no item."""
    kiosk.keep_only("quote")
    kiosk.write("runs/README.md", "Runs.")
    kiosk.write("runs/test_in_runs.py", "def test_in_runs(): pass\n")

    assert {"passed": 2} == kiosk.replay().results


def test_conftest_and_fixtures_apply(kiosk: Kiosk) -> None:
    """The project's conftest.py, its autouse fixtures and a conftest.py beside the runs apply to run items."""
    kiosk.keep_only("quote")
    fixture = "import pytest\n@pytest.fixture(autouse=True)\ndef {0}(request):\n    print('{0}', request.node.nodeid)\n"
    kiosk.write("conftest.py", fixture.format("above"))
    kiosk.write("runs/conftest.py", fixture.format("beside"))

    suite = kiosk.replay("-s")

    assert {"passed": 2} == suite.results
    assert 1 == suite.output.count(f"above {kiosk.node_id('quote')}")
    assert 1 == suite.output.count(f"beside {kiosk.node_id('quote')}")


def test_hooks_see_run_items_as_functions(kiosk: Kiosk) -> None:
    """A plugin that adds marks at collection reaches run items too."""
    kiosk.keep_only("quote")
    kiosk.write(
        "conftest.py",
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items: item.add_marker(pytest.mark.skip(reason='by conftest'))\n",
    )

    assert {"skipped": 2} == kiosk.replay("--fluxrun-require=0").results


@pytest.mark.parametrize("error", [ReplayFailed("regressed: status 500"), FluxRunError("a seam was displaced")])
def test_no_traceback_is_made_of_what_is_shown_as_its_text(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython 3.11 can fail at it, and pytest then ends the whole session."""

    def fail(*_: object, **__: object) -> None:
        raise SystemError("AST constructor recursion depth mismatch")

    item = object.__new__(RunItem)
    with pytest.raises(type(error)) as shown:
        raise error
    with pytest.raises(ValueError, match="conftest") as other:
        raise ValueError("an error of the app's conftest")

    with monkeypatch.context() as patched:
        patched.setattr(pytest.Function, "repr_failure", fail)
        text = item.repr_failure(shown)
        with pytest.raises(SystemError):
            item.repr_failure(other)

    assert str(error) == text
