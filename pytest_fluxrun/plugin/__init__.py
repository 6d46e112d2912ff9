"""The pytest plugin's front: options, marks and fixtures. Loads the rest only when runs are asked for.

A project that installs the plugin and doesn't use it gets three options and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_fluxrun.plugin.replay import Outcome

__all__: list[str] = []


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
        type=int,
        default=None,
        metavar="N",
        help="fail unless at least N runs were replayed",
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
    parser.addini("fluxrun_dir", "directories of recorded runs", type="paths", default=[])
    parser.addini("fluxrun_require", "fail unless at least this many runs were replayed", default="0")
    parser.addini("fluxrun_timeout_s", "deadline of one replay in seconds", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and the rest of the plugin where runs are asked for."""
    config.addinivalue_line("markers", "fluxrun(run): replays a recorded run, on a test the one for fluxrun_replay")
    config.addinivalue_line("markers", "fluxrun_expected_fix: the run's fix isn't there yet; strict once it is")
    if config.getoption("fluxrun_dir") or config.getini("fluxrun_dir"):
        from pytest_fluxrun.plugin.session import RunSession

        session = RunSession.for_config(config)
        config.pluginmanager.register(session, "fluxrun-session")
        if config.getoption("usepdb", False):
            from pytest_fluxrun.plugin.debugging import Debugging

            config.pluginmanager.register(Debugging(session.keep), "fluxrun-debugging")


@pytest.fixture
def fluxrun_app() -> Any:
    """The app to replay on, where importing [tool.fluxrun] modules isn't enough. Override it in conftest.py."""
    return None


@pytest.fixture
def fluxrun_replay(request: pytest.FixtureRequest, fluxrun_app: Any) -> Outcome:
    """The outcome of replaying the run that `@pytest.mark.fluxrun("<id>")` names; assert what you like on it."""
    from pytest_fluxrun.plugin.replay import replay_for_test

    return replay_for_test(request, fluxrun_app)
