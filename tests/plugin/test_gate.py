"""When a session must not be green although no test failed."""

from __future__ import annotations

import shutil

from pytest_fluxrun.bundle import Algorithm, ProjectKey, write_project_key
from tests.plugin.kiosk import Kiosk


def test_empty_directory_fails(kiosk: Kiosk) -> None:
    """No runs: not green, with the reason."""
    kiosk.keep_only()

    suite = kiosk.replay()

    assert 5 == suite.exit_code
    assert "no run was replayed: runs holds none" in suite.line("no run was replayed")


def test_empty_directory_fails_beside_green_tests(kiosk: Kiosk) -> None:
    """The project's own tests don't make up for it."""
    kiosk.keep_only()
    kiosk.write("test_own.py", "def test_own(): pass\n")

    suite = kiosk.replay("test_own.py")

    assert ({"passed": 1}, 1) == (suite.results, suite.exit_code)
    assert "fluxrun gate" in suite.output


def test_missing_directory_is_a_usage_error(kiosk: Kiosk) -> None:
    """A directory that isn't there: exit code 4 and what to do."""
    suite = kiosk.pytest("--fluxrun-dir=nowhere")

    assert 4 == suite.exit_code
    assert "the run directory" in suite.line("ERROR:")
    assert "fluxrun init" in suite.line("next:")
    assert "Traceback" not in suite.output


def test_required_number(kiosk: Kiosk) -> None:
    """`fluxrun_require = N` in the ini file or as an option: fewer replayed runs fail."""
    kiosk.keep_only("quote")
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_require = 3\n")

    by_ini = kiosk.replay()
    by_option = kiosk.replay("--fluxrun-require=2")

    assert ({"passed": 2}, 1) == (by_ini.results, by_ini.exit_code)
    assert by_ini.line("2 runs were replayed, 3 are required")
    assert 0 == by_option.exit_code


def test_required_number_under_xdist(kiosk: Kiosk) -> None:
    """The controller applies the gate over all workers."""
    kiosk.keep_only("quote")

    assert 0 == kiosk.replay("-n", "2", "--fluxrun-require=2", plugins=["xdist"]).exit_code
    assert 1 == kiosk.replay("-n", "2", "--fluxrun-require=3", plugins=["xdist"]).exit_code


def test_required_runs_by_id(kiosk: Kiosk) -> None:
    """Ids, or beginnings of ids, that must be among the replayed."""
    kiosk.keep_only("quote")
    run_id = kiosk.bundle("quote").stem[-26:]
    kiosk.write("pytest.ini", f"[pytest]\nfluxrun_require = {run_id} 01aaaaaaaa\n")

    suite = kiosk.replay()

    assert 1 == suite.exit_code
    assert suite.line("required runs were not replayed: 01aaaaaaaa.")


def test_required_runs_by_id_are_there(kiosk: Kiosk) -> None:
    """All there: green, also for the beginning of an id."""
    kiosk.keep_only("quote")
    run_id = kiosk.bundle("quote").stem[-26:]
    kiosk.write("pytest.ini", f"[pytest]\nfluxrun_require = {run_id[:20]}\n")

    assert 0 == kiosk.replay().exit_code


def test_misspelt_requirement_is_a_usage_error(kiosk: Kiosk) -> None:
    """What is neither a number nor ids is said at the start."""
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_require = many!\n")

    suite = kiosk.replay()

    assert 4 == suite.exit_code
    assert "fluxrun_require" in suite.line("ERROR:")


def test_rerun_of_one_run_needs_no_others(kiosk: Kiosk) -> None:
    """A node id, or `--lf`, picks on purpose: the required number isn't asked for."""
    kiosk.write("pytest.ini", "[pytest]\nfluxrun_require = 5\n")

    assert 0 == kiosk.replay(kiosk.node_id("quote")).exit_code
    kiosk.replay()
    kiosk.fix_refund()
    assert "fluxrun gate" not in kiosk.replay("--lf").output


def test_deselected_runs_don_t_count(kiosk: Kiosk) -> None:
    """`-k` that leaves the runs out fails a gate that requires some, and only that."""
    kiosk.write("test_own.py", "def test_own(): pass\n")

    assert 0 == kiosk.replay("test_own.py", "-k", "own").exit_code
    assert 1 == kiosk.replay("test_own.py", "-k", "own", "--fluxrun-require=1").exit_code


def test_all_deselected_has_pytests_own_exit_code(kiosk: Kiosk) -> None:
    """Nothing selected at all: 5."""
    assert 5 == kiosk.replay("-k", "nothing_like_this").exit_code


def test_skipped_runs_are_counted_and_fail(kiosk: Kiosk) -> None:
    """Runs that another plugin skips are counted; where all are, that is a gate on nothing."""
    kiosk.keep_only("quote")
    kiosk.write(
        "conftest.py",
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items: item.add_marker(pytest.mark.skip(reason='by conftest'))\n",
    )

    suite = kiosk.replay()

    assert ({"skipped": 2}, 1) == (suite.results, suite.exit_code)
    assert "fluxrun: 2 runs: 2 skipped" == suite.line("fluxrun: 2")


def test_locked_runs_are_errors(kiosk: Kiosk) -> None:
    """Without a key each run is an ERROR, reason `locked`."""
    _lock(kiosk)

    suite = kiosk.replay()

    assert ({"errors" if "errors" in suite.results else "error": 5}, 1) == (suite.results, suite.exit_code)
    assert {("unready", "locked")} == {
        (case.verdict, case.properties["fluxrun.reason"]) for case in suite.cases.values()
    }


def test_locked_runs_may_be_skipped_loudly(kiosk: Kiosk) -> None:
    """`--fluxrun-locked=skip`: skipped, counted by name, and never towards a required number."""
    _lock(kiosk)

    suite = kiosk.replay("--fluxrun-locked=skip", "-rs")

    assert ({"skipped": 5}, 0) == (suite.results, suite.exit_code)
    assert "fluxrun: 5 runs: 5 locked" == suite.line("fluxrun: 5")
    assert "no key here opens this run (--fluxrun-locked=skip)" in suite.output
    assert 1 == kiosk.replay("--fluxrun-locked=skip", "--fluxrun-require=1").exit_code


def test_skipping_locked_runs_doesn_t_skip_damaged_ones(kiosk: Kiosk) -> None:
    """A damaged bundle is an ERROR with a key or without."""
    _lock(kiosk)
    kiosk.keep_only("refund")
    kiosk.bundle("refund").write_bytes(kiosk.bundle("refund").read_bytes()[:-1])

    suite = kiosk.replay("--fluxrun-locked=skip")

    assert 1 == suite.exit_code
    assert "truncated" == suite.case("refund").properties["fluxrun.reason"]


def test_crashed_worker_fails(kiosk: Kiosk) -> None:
    """A replay that takes its worker down is a failure of that item; the others go on."""
    kiosk.keep_only("quote", "refund")
    kiosk.edit(
        "service.py",
        "    if amount == 7:\n",
        "    import ctypes\n    ctypes.CDLL(None)._exit(3)\n    if amount == 7:\n",
    )

    suite = kiosk.replay("-n", "1", plugins=["xdist"])

    assert 1 == suite.exit_code
    assert {"passed": 2, "failed": 1} == suite.results


def test_pull_fetches_what_guards_pin(kiosk: Kiosk) -> None:
    """`--fluxrun-pull` brings the bundle from the store, checks it, and replays it."""
    kiosk.keep_only("quote")
    kiosk.guard("quote")
    _store_elsewhere(kiosk)

    suite = kiosk.replay("--fluxrun-pull", FLUXRUN_STORE="../store")

    assert ({"passed": 1}, 0) == (suite.results, suite.exit_code)
    assert 1 == len(kiosk.bundles())


def test_pull_of_a_run_that_the_store_lacks_fails(kiosk: Kiosk) -> None:
    """A pinned run that isn't in the store stops the session: what, why, next, no traceback."""
    kiosk.keep_only("quote")
    kiosk.guard("quote")
    _store_elsewhere(kiosk)
    name = kiosk.root.parent / "store"
    for bundle in name.iterdir():
        bundle.unlink()

    suite = kiosk.replay("--fluxrun-pull", FLUXRUN_STORE="../store")

    assert 4 == suite.exit_code
    assert "the pinned run quote-" in suite.line("ERROR:")
    assert "fluxrun push" in suite.line("next:")
    assert "Traceback" not in suite.output


def test_pull_under_xdist_happens_once(kiosk: Kiosk) -> None:
    """The controller pulls; workers find the bundle."""
    kiosk.keep_only("quote")
    kiosk.guard("quote")
    _store_elsewhere(kiosk)

    suite = kiosk.replay("--fluxrun-pull", "-n", "2", plugins=["xdist"], FLUXRUN_STORE="../store")

    assert ({"passed": 1}, 0) == (suite.results, suite.exit_code)


def test_pull_never_replaces_a_file(kiosk: Kiosk) -> None:
    """A bundle that isn't what the guard pins stays as it is, and the session fails."""
    kiosk.keep_only("quote")
    guard = kiosk.guard("quote")
    bundle = kiosk.bundle("quote")
    shutil.copytree(kiosk.runs, kiosk.root.parent / "store")
    bundle.write_bytes(b"mine")

    suite = kiosk.replay("--fluxrun-pull", FLUXRUN_STORE="../store")

    assert 4 == suite.exit_code, guard.read_text()
    assert b"mine" == bundle.read_bytes()


def _lock(kiosk: Kiosk) -> None:
    key_file = kiosk.root.parent / "config" / "fluxrun" / "kiosk.key"
    key_file.unlink()
    write_project_key(key_file, ProjectKey.generate(Algorithm.X25519))


def _store_elsewhere(kiosk: Kiosk) -> None:
    """Move the bundles into a store beside the project; guards stay."""
    store = kiosk.root.parent / "store"
    store.mkdir()
    for bundle in kiosk.bundles():
        bundle.rename(store / bundle.name)
