"""The pytest plugin's front: options, marks and fixtures. Loads the rest only when runs are asked for.

A project that installs the plugin and doesn't use it gets its options and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_fluxrun.plugin.replay import Outcome
    from pytest_fluxrun.plugin.session import FluxRunConfig

__all__: list[str] = []


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that FluxRun calls."""
    from pytest_fluxrun.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and ini settings."""
    group = parser.getgroup("fluxrun", "replay recorded production runs")
    group.addoption(
        "--fluxrun-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="collect the recorded runs in DIR as test items (repeatable)",
    )
    group.addoption(
        "--fluxrun-require",
        default=None,
        metavar="N",
        help="fail unless at least N runs were replayed; also run ids, separated by space, or `all`",
    )
    group.addoption(
        "--fluxrun-pull", action="store_true", help="before collection, fetch from the store what the guards pin"
    )
    group.addoption(
        "--fluxrun-locked",
        choices=("error", "skip"),
        default="error",
        help="what to do with runs that no key here opens: an error (default), or a counted skip",
    )
    group.addoption(
        "--fluxrun-no-confirm",
        action="store_true",
        help="don't confirm a non-pass in a clean process before reporting it",
    )
    group.addoption(
        "--fluxrun-isolate",
        action="store_true",
        help="replay each run in a process of its own, so that no run leaves its caches to the next",
    )
    group.addoption(
        "--fluxrun-report",
        action="append",
        default=[],
        metavar="FILE",
        help="write a report of the runs: out.html, out.json or out.sarif (repeatable)",
    )
    group.addoption(
        "--fluxrun-report-values",
        action="store_true",
        help="reports show bodies, arguments, rows and messages; without it types and sizes",
    )
    group.addoption(
        "--fluxrun-strict", action="store_true", help="all drift fails that a guard doesn't allow, noted kinds too"
    )
    group.addoption(
        "--fluxrun-update",
        default="",
        metavar="WHAT",
        help="after a whole session, rewrite guards to what was seen: outcome, drift, or both with a comma",
    )
    parser.addini("fluxrun_dir", "directories of recorded runs", type="paths", default=[])
    parser.addini("fluxrun_require", "a number of runs that must be replayed, run ids, or `all`", default="")
    parser.addini("fluxrun_timeout_s", "deadline of one replay in seconds", default="")
    parser.addini("fluxrun_on_unplayed", "what recorded reads that aren't made count as: note or fail", default="")
    parser.addini("fluxrun_fail_on", "kinds of drift that fail beside those that do by default", default="")
    parser.addini("fluxrun_max_age", "note runs that are older, e.g. 90d; --fluxrun-strict fails them", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and the rest of the plugin where runs are asked for."""
    config.addinivalue_line("markers", "fluxrun(run): replays a recorded run, on a test the one for fluxrun_replay")
    config.addinivalue_line("markers", "fluxrun_expected_fix: the run's fix isn't there yet; strict once it is")
    _refuse_misspelt(config)
    has_runs = bool(config.getoption("fluxrun_dir") or config.getini("fluxrun_dir"))
    if config.getoption("fluxrun_update"):
        from pytest_fluxrun.plugin.update import update_of

        config.pluginmanager.register(update_of(config, has_runs=has_runs), "fluxrun-update")
    if has_runs:
        _register_session(config)
        return
    if config.getoption("fluxrun_report"):
        raise pytest.UsageError(
            "--fluxrun-report has no runs to report on: no run directory is set\n"
            "  next:    pass --fluxrun-dir=runs/, or set fluxrun_dir in the ini file"
        )
    if config.getini("fluxrun_require") or config.getoption("fluxrun_require"):
        _refuse_no_directory(config)


def _register_session(config: pytest.Config) -> None:
    """All that replays, counts and tells, where runs are asked for."""
    from pytest_fluxrun.plugin.drift_summary import DriftSummary
    from pytest_fluxrun.plugin.session import RunSession

    session = RunSession.for_config(config)
    if config.pluginmanager.register(session, "fluxrun-session") is None:
        raise pytest.UsageError(
            "fluxrun: runs are asked for, and `-p no:fluxrun-session` disables what replays and counts them\n"
            "  next:    drop that option, also from PYTEST_ADDOPTS; without --fluxrun-dir no run is replayed"
        )
    config.pluginmanager.register(DriftSummary(), "fluxrun-drift-summary")
    session.tell_github()
    if config.getoption("usepdb", False):
        from pytest_fluxrun.plugin.debugging import Debugging

        config.pluginmanager.register(Debugging(session.keep), "fluxrun-debugging")
    if config.getoption("fluxrun_report"):
        from pytest_fluxrun.plugin.reporting import Reporting

        Reporting.register(session)


def _refuse_misspelt(config: pytest.Config) -> None:
    """Pytest only warns of an unknown ini setting; a misspelt requirement would require nothing."""
    misspelt = sorted(name for name in config._get_unknown_ini_keys() if name.startswith("fluxrun_"))  # noqa: SLF001 - pytest's own check, of which only a warning comes
    if misspelt:
        raise pytest.UsageError(
            f"the ini setting {misspelt[0]!r} is unknown, so that it would change nothing\n"
            "  next:    correct its name in the ini file; `pytest --help` lists the settings that begin with fluxrun_"
        )


def _refuse_no_directory(config: pytest.Config) -> None:
    """A requirement without run directories can't be met: an error where it binds this session."""
    import os

    from pytest_fluxrun.errors import FluxRunError
    from pytest_fluxrun.plugin.gate import on_ci, required_by

    try:
        required, explicit = required_by(config, None)
    except FluxRunError as error:
        raise pytest.UsageError(str(error)) from None
    if required and (explicit or on_ci(os.environ)):
        raise pytest.UsageError(
            f"fluxrun: runs are required ({required}), and no run directory is named\n"
            "  next:    set fluxrun_dir beside fluxrun_require in the ini file, or pass --fluxrun-dir; "
            "`--fluxrun-require=0` on the command line of a job that replays none on purpose"
        )


@pytest.fixture
def fluxrun_app() -> Any:
    """The app to replay on, where importing [tool.fluxrun] modules isn't enough. Override it in conftest.py."""
    return None


@pytest.fixture(scope="session")
def fluxrun_config(pytestconfig: pytest.Config) -> FluxRunConfig:
    """The settings and run directories of this session; fails where there are none."""
    from pytest_fluxrun.plugin.session import session_of

    session = session_of(pytestconfig)
    if session is None:
        pytest.fail(
            "fluxrun_config has nothing to give: no run directory is set\n"
            "  next:    pass --fluxrun-dir=runs/, or set fluxrun_dir in the ini file",
            pytrace=False,
        )
    return session.shown


@pytest.fixture
def fluxrun_respx() -> Any:
    """A respx router whose routes answer calls over HTTP that a run lacks; it patches nothing, and lets nothing out."""
    from respx.router import Router

    return Router(assert_all_called=False)


@pytest.fixture
def fluxrun_replay(request: pytest.FixtureRequest, fluxrun_app: Any) -> Outcome:
    """The outcome of replaying the run that `@pytest.mark.fluxrun("<id>")` names; assert what you like on it."""
    from pytest_fluxrun.plugin.replay import replay_for_test

    return replay_for_test(request, fluxrun_app)
