"""Ways to turn a gate green falsely: each row of docs/reference/gate.md that the session itself notices."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_fluxrun.bundle import Algorithm, ProjectKey, write_project_key
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from pytest_fluxrun.judgement.guard_list import write_list
from tests.plugin.forking import Forking
from tests.plugin.kiosk import Kiosk, Suite

_INI = "[pytest]\nfluxrun_dir = runs\nfluxrun_require = all\n"
_OWN = "def test_own(): pass\n"


@pytest.fixture
def gated(kiosk: Kiosk) -> Kiosk:
    """The project with its bugs fixed, a guard for each of the five runs, all required, and a green test of its own."""
    kiosk.fix_refund()
    kiosk.edit("service.py", "status, body = 500,", "status, body = 400,")
    for bundle in kiosk.bundles():
        failed = bundle in (*kiosk.bundles("refund"), kiosk.bundles("front")[1])
        content = {
            "run": bundle.stem[-26:],
            "sha256": digest(bundle.read_bytes()),
            "expect": "fix" if failed else "recorded",
        }
        write_guard(bundle.with_name(f"{bundle.stem}.guard.toml"), Guard.model_validate(content))
    write_list(kiosk.runs, [bundle.stem for bundle in kiosk.bundles()])
    kiosk.write("pytest.ini", _INI)
    kiosk.write("test_own.py", _OWN)
    return kiosk


def _session(forking: Forking, kiosk: Kiosk, *arguments: str, cwd: Path | None = None, **variables: str) -> Suite:
    return forking.pytest(kiosk, "--fluxrun-no-confirm", *arguments, cwd=cwd, **({"CI": "true"} | variables))


def test_honest_session_is_green(gated: Kiosk, forking: Forking) -> None:
    """What every row below starts from: all guards replayed, exit code 0, and the header says what is required."""
    suite = _session(forking, gated)

    assert (0, {"passed": 6}) == (suite.exit_code, suite.results), suite.output
    assert suite.line("fluxrun: runs from runs;").endswith("; required: all")


@dataclass(frozen=True)
class Way:
    """One way to fool the gate.

    Args:
        name: of the row.
        message: a part of what the session says.
        prepare: what is done to the project.
        arguments: of pytest, `{…}` filled with the project's paths.
        variables: of the environment.
        code: the exit code.
    """

    name: str
    message: str
    prepare: Callable[[Kiosk], object] = lambda _: None
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    code: int = 1


def _number(kiosk: Kiosk) -> None:
    kiosk.edit("pytest.ini", "= all", "= 5")


def _no_runs(kiosk: Kiosk) -> None:
    for path in kiosk.runs.iterdir():
        path.unlink()


def _no_runs_but_a_number(kiosk: Kiosk) -> None:
    _no_runs(kiosk)
    _number(kiosk)


def _without(*names: str) -> Callable[[Kiosk], None]:
    def remove(kiosk: Kiosk) -> None:
        for name in names:
            for path in kiosk.runs.glob(name):
                path.unlink()

    return remove


def _breaks(kiosk: Kiosk) -> None:
    kiosk.edit("service.py", '"price": amount * rate()', '"price": amount * rate() + 1')


def _does(line: str) -> Callable[[Kiosk], None]:
    def edit(kiosk: Kiosk) -> None:
        kiosk.edit("service.py", "    current = rate()\n", f"    {line}\n    current = rate()\n")

    return edit


def _at_import(line: str) -> Callable[[Kiosk], None]:
    return lambda kiosk: kiosk.edit(
        "service.py", 'fluxrun.init(project="kiosk")', f'fluxrun.init(project="kiosk"); {line}'
    )


def _conftest(text: str, *, broken: bool = False) -> Callable[[Kiosk], None]:
    def write(kiosk: Kiosk) -> None:
        kiosk.write("conftest.py", f"import pytest\n{text}")
        if broken:
            _breaks(kiosk)

    return write


def _marks(mark: str) -> str:
    return f"def pytest_collection_modifyitems(items):\n    for item in items: item.add_marker(pytest.mark.{mark})\n"


_DROPS = """\
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.path.suffix == ".py"]
"""
_REWRITES = """\
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""
_PROTOCOL = "def pytest_runtest_protocol(item): return True\n"
_RESETS = """\
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    yield
    session.exitstatus = 0
"""


def _cached_failure(kiosk: Kiosk) -> None:
    kiosk.write(".pytest_cache/v/cache/lastfailed", json.dumps({"test_own.py::test_own": True}))


def _lock(kiosk: Kiosk) -> None:
    key_file = kiosk.root.parent / "config" / "fluxrun" / "kiosk.key"
    key_file.unlink()
    write_project_key(key_file, ProjectKey.generate(Algorithm.X25519))


def _locked_and(text: str) -> Callable[[Kiosk], None]:
    def prepare(kiosk: Kiosk) -> None:
        _lock(kiosk)
        _conftest(text)(kiosk)

    return prepare


def _pending(kiosk: Kiosk) -> None:
    """One run alone, whose failure is back and expected."""
    kiosk.edit("service.py", "if amount == 8:", "if amount == 7:")
    _without("quote*", "front*")(kiosk)
    guard = kiosk.guard("refund", expect="fix", pending=True)
    write_list(kiosk.runs, [guard.name.removesuffix(".guard.toml")])


def _pending_number(kiosk: Kiosk) -> None:
    _pending(kiosk)
    kiosk.edit("pytest.ini", "= all", "= 1")


def _elsewhere(kiosk: Kiosk) -> None:
    """Another directory, of which all is well."""
    shutil.copytree(kiosk.runs, kiosk.root / "others")
    for path in (kiosk.root / "others").glob("front*"):
        path.unlink()
    write_list(kiosk.root / "others", [path.stem for path in (kiosk.root / "others").glob("*.fluxrun")])


def _failing_first(kiosk: Kiosk) -> None:
    kiosk.write("test_own.py", "def test_own(): assert False\n")


_NOT_REPLAYED = "of 5 guards on runs/guards.txt were not replayed"
_OTHERWISE = "2 runs didn't pass, and something reported them otherwise: "
_WAYS = [
    Way("no runs", "guards on runs/guards.txt are not there", _without("*.fluxrun", "*.guard.toml")),
    Way("no runs, no list", "there is no runs/guards.txt to say which", _no_runs),
    Way("no runs, by number", "0 runs were replayed, 5 are required", _no_runs_but_a_number),
    Way("empty list", "runs/guards.txt lists none", lambda kiosk: write_list(kiosk.runs, [])),
    Way("all skipped", f"5 {_NOT_REPLAYED} (5 skipped)", _conftest(_marks("skip"))),
    Way(
        "skipped by a fixture",
        f"5 {_NOT_REPLAYED} (5 skipped)",
        _conftest(
            "@pytest.fixture(autouse=True)\n"
            "def none(request):\n    if 'fluxrun' in request.keywords: pytest.skip('no')\n"
        ),
    ),
    Way("-k", f"5 {_NOT_REPLAYED}", arguments=("-k", "own")),
    Way("-k, by number", "0 runs were replayed, 5 are required", _number, ("-k", "own")),
    Way("-m", f"5 {_NOT_REPLAYED}", arguments=("-m", "not fluxrun")),
    Way("--deselect", f"2 {_NOT_REPLAYED}", arguments=("--deselect=runs/{quote}", "--deselect=runs/{front}")),
    Way("--lf", f"5 {_NOT_REPLAYED}", _cached_failure, ("--lf", "-p", "cacheprovider")),
    Way("node id", f"4 {_NOT_REPLAYED}", arguments=("runs/{quote}::replay",)),
    Way("path", f"5 {_NOT_REPLAYED}", arguments=("test_own.py",)),
    Way("--ignore", f"5 {_NOT_REPLAYED}", arguments=("--ignore=runs",)),
    Way("--collect-only", f"5 {_NOT_REPLAYED}", arguments=("--collect-only",)),
    Way("--setup-plan", f"5 {_NOT_REPLAYED}", arguments=("--setup-plan",)),
    Way("-x", f"5 {_NOT_REPLAYED}", _failing_first, ("-x", "test_own.py", "runs")),
    Way("--maxfail", f"5 {_NOT_REPLAYED}", _failing_first, ("--maxfail=1", "test_own.py", "runs")),
    Way(
        "crashed worker",
        f"1 {_NOT_REPLAYED}",
        _does("import ctypes; ctypes.CDLL(None)._exit(3)"),
        ("-n1", "-p", "xdist"),
    ),
    Way("deleted guard and bundle", "are not there: refund-", _without("refund*")),
    Way("deleted guard", "are not there: refund-", _without("refund*.toml")),
    Way("deleted bundle", "the guard refund-", _without("refund*.fluxrun")),
    Way(
        "guard off the list",
        "guards are not on runs/guards.txt: ",
        lambda kiosk: write_list(kiosk.runs, [bundle.stem for bundle in kiosk.bundles()[1:]]),
    ),
    Way("other directory", f"2 {_NOT_REPLAYED}", _elsewhere, ("--fluxrun-dir=others",)),
    Way("locked", "is locked here", _lock),
    Way("locked, skipped", f"5 {_NOT_REPLAYED} (5 locked)", _lock, ("--fluxrun-locked=skip",)),
    Way(
        "expired pull",
        "could not be pulled",
        _without("refund*.fluxrun"),
        ("--fluxrun-pull",),
        {"FLUXRUN_STORE": "none"},
        4,
    ),
    Way("refused pull", "next:", _without("refund*.fluxrun"), ("--fluxrun-pull",), {"FLUXRUN_STORE": "service.py"}, 4),
    Way(
        "empty pull",
        "0 runs were replayed, 5 are required",
        _no_runs_but_a_number,
        ("--fluxrun-pull",),
        {"FLUXRUN_STORE": "s"},
    ),
    Way("wrong rootdir", "next:", arguments=("--rootdir=..",)),
    Way(
        "other ini file",
        "next:",
        lambda kiosk: kiosk.write("other.ini", "[pytest]\nfluxrun_require = all\n"),
        ("-c", "other.ini"),
        {},
        4,
    ),
    Way(
        "misspelt requirement",
        "'fluxrun_requires' is unknown",
        lambda kiosk: kiosk.write("pytest.ini", "[pytest]\nfluxrun_dir = runs\nfluxrun_requires = all\n"),
        code=4,
    ),
    Way(
        "-p no:fluxrun-session", "disables what replays and counts them", arguments=("-p", "no:fluxrun-session"), code=4
    ),
    Way("conftest drops items", f"5 {_NOT_REPLAYED}", _conftest(_DROPS)),
    Way("conftest runs nothing", f"5 {_NOT_REPLAYED}", _conftest(_PROTOCOL)),
    Way("xfail on all", _OTHERWISE, _conftest(_marks("xfail"), broken=True)),
    Way("xfail on what isn't ready", "5 runs didn't pass, and something", _locked_and(_marks("xfail"))),
    Way("xfail(run=False)", f"5 {_NOT_REPLAYED}", _conftest(_marks("xfail(run=False)"), broken=True)),
    Way("reports rewritten", _OTHERWISE, _conftest(_REWRITES, broken=True)),
    Way("exit code reset", "made the exit code 0", _conftest(_RESETS, broken=True)),
    Way("PYTEST_ADDOPTS=-k", f"5 {_NOT_REPLAYED}", variables={"PYTEST_ADDOPTS": "-k own"}),
    Way("PYTEST_ADDOPTS lowers", f"5 {_NOT_REPLAYED}", variables={"PYTEST_ADDOPTS": "-k own --fluxrun-require=0"}),
    Way(
        "PYTEST_ADDOPTS overrides",
        "overridden by PYTEST_ADDOPTS",
        variables={"PYTEST_ADDOPTS": "-o fluxrun_require=0"},
        code=4,
    ),
    Way("all pending", "every run that was replayed is pending (1)", _pending),
    Way("all pending, by number", "1 runs were replayed, 1 of them pending", _pending_number),
    Way("os._exit(0) in a run", "os._exit", _does("os._exit(0)")),
    Way("os._exit(0) at import", "os._exit(0) was called while runs were replayed", _at_import("os._exit(0)")),
    Way(
        "os._exit(0) in a worker",
        f"1 {_NOT_REPLAYED}",
        _does("import ctypes; ctypes.CDLL(None)._exit(0)"),
        ("-n1", "-p", "xdist"),
    ),
    Way("sys.exit(0) in a run", "SystemExit", _does("raise SystemExit(0)")),
    Way("sys.exit(0) at import", "the app can't be started: SystemExit", _at_import("raise SystemExit(0)")),
    Way("pytest.exit", "refund", _does("import pytest; pytest.exit('done', returncode=0)")),
    Way("interrupted", "KeyboardInterrupt", _does("raise KeyboardInterrupt"), code=2),
    Way("killed", "leaked: a live side effect was attempted and blocked: os.kill", _does("os.kill(os.getpid(), 9)")),
]


@pytest.mark.parametrize("way", _WAYS, ids=[way.name for way in _WAYS])
def test_gate_is_not_fooled(gated: Kiosk, forking: Forking, way: Way) -> None:
    """The exit code isn't 0, and the message says what was noticed."""
    way.prepare(gated)
    names = {entry: f"{bundle.name}" for entry in ("quote", "front") for bundle in gated.bundles(entry)[:1]}

    suite = _session(forking, gated, *(each.format(**names) for each in way.arguments), **way.variables)

    assert (way.code, True) == (suite.exit_code, way.message in suite.output), suite.output
    assert "INTERNALERROR" not in suite.output


def test_a_part_may_be_picked_by_hand(gated: Kiosk, forking: Forking) -> None:
    """Outside of CI a person's `-k` is green, and the summary says what CI would; the option binds there too."""
    picked = _session(forking, gated, "-k", "quote", CI="")
    bound = _session(forking, gated, "-k", "quote", "--fluxrun-require=all", CI="")

    assert 0 == picked.exit_code
    assert "on CI it is: 3 of 5 guards on runs/guards.txt were not replayed" in picked.line("fluxrun: the gate isn't")
    assert 1 == bound.exit_code


def test_requirement_without_a_directory(gated: Kiosk, forking: Forking) -> None:
    """On CI a usage error that says what to do; a job that replays none says so; a person's session isn't bothered."""
    gated.write("pytest.ini", "[pytest]\nfluxrun_require = all\n")

    on_ci = _session(forking, gated, "test_own.py")

    assert (4, True) == (on_ci.exit_code, "runs are required (all), and no run directory is named" in on_ci.output)
    assert 0 == _session(forking, gated, "test_own.py", "--fluxrun-require=0").exit_code
    assert 0 == _session(forking, gated, "test_own.py", CI="").exit_code


def test_disabled_plugin_is_missing(gated: Kiosk, forking: Forking) -> None:
    """`-p no:fluxrun` leaves nobody to count: `required_plugins` in the ini file makes pytest itself refuse."""
    gated.write("pytest.ini", _INI + "required_plugins = pytest-fluxrun\n")
    loaded = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}

    suite = _session(forking, gated, "-p", "no:fluxrun", "-o", "addopts=", **loaded)

    assert (4, True) == (suite.exit_code, "Missing required plugins: pytest-fluxrun" in suite.output), suite.output


_EXITS_WITH_0 = "import atexit, os\natexit.register(os._exit, 0)\n"
_GONE = [
    ("honest", lambda _: None, (), {}, 0, "gate: green: 5 runs: 2 fixed, 3 match; required: all"),
    ("-p no:fluxrun", lambda _: None, ("-p", "no:fluxrun"), {}, 4, "gate: exit code 4 of "),
    (
        "disabled",
        lambda _: None,
        ("-p", "no:fluxrun", "-p", "report_option"),
        {},
        2,
        "ended with 0, and replayed no run",
    ),
    ("--help", lambda _: None, (), {"PYTEST_ADDOPTS": "--help"}, 2, "ended with 0, and replayed no run"),
    ("_exit(0)", _does("import ctypes; ctypes.CDLL(None)._exit(0)"), (), {}, 2, "the session has not ended"),
    ("atexit", _conftest(_EXITS_WITH_0, broken=True), (), {}, 1, "not green: quote-"),
    ("lowered", _does("0"), ("--fluxrun-require=0", "-k", "own"), {}, 1, f"5 {_NOT_REPLAYED}"),
]


@pytest.mark.parametrize(
    ("prepare", "arguments", "variables", "code", "said"), [way[1:] for way in _GONE], ids=[way[0] for way in _GONE]
)
def test_command_around_pytest_is_not_fooled(
    gated: Kiosk,
    prepare: Callable[[Kiosk], object],
    arguments: tuple[str, ...],
    variables: dict[str, str],
    code: int,
    said: str,
) -> None:
    """`fluxrun gate -- pytest` wants a complete report, which no exit code stands in for."""
    prepare(gated)
    gated.write("report_option.py", "def pytest_addoption(parser): parser.addoption('--fluxrun-report')\n")
    named = () if "no:fluxrun" in arguments else ("-p", "fluxrun")
    plain = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{gated.environment()['PYTHONPATH']}:."}

    done = gated.python(
        "-m", "pytest_fluxrun", "gate", "--", sys.executable, "-m", "pytest", *named, *arguments, **plain, **variables
    )

    assert (code, True) == (done.returncode, said in done.stdout), done.stdout
