"""`fluxrun export --as pytest`: what it writes passes without FluxRun, and fails once the code changes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.service import Project, load

_BLOCKED = """
import sys, pytest

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pytest_fluxrun":
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
code = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]])
assert "pytest_fluxrun" not in sys.modules or not hasattr(sys.modules["pytest_fluxrun"], "__path__")
raise SystemExit(code)
"""


@pytest.fixture(scope="module")
def exported(failed_shop: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the shop with a plain test of the order with the expired coupon."""
    root = tmp_path_factory.mktemp("exported") / "shop"
    project = Project(Path(shutil.copytree(failed_shop.root, root)))
    name = next(name for name, run in project.open().items() if "SPRING" in repr(run.input))
    project.fluxrun("export", name, "--as", "pytest", "-o", "test_plain.py")
    shutil.rmtree(root / "runs")
    (root / "blocked.py").write_text(_BLOCKED)
    return project


@pytest.fixture
def plain(exported: Project, copied: Callable[[Project], Project]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the file where FluxRun is blocked; `change` gets the project's directory before."""

    def plain(change: Callable[[Path], object] = lambda _: None) -> subprocess.CompletedProcess[str]:
        project = copied(exported)
        change(project.root)
        return subprocess.run(
            [sys.executable, "blocked.py", "test_plain.py"],
            cwd=project.root,
            env=project.environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return plain


def test_it_passes_without_fluxrun_and_without_the_run(plain: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The recorded status is asserted: the app, its rows and the provider's answer give it again."""
    done = plain()

    assert (0, "1 passed") == (done.returncode, done.stdout.splitlines()[-1][:8]), done.stdout + done.stderr


def test_it_fails_once_the_bug_is_fixed(plain: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The outcome is then another one."""
    done = plain(lambda root: load(root / "fix.py").apply(root))

    assert 1 == done.returncode, done.stdout
    assert "assert 409 == 500" in done.stdout


def test_it_fails_for_a_call_that_the_run_lacks(plain: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Even though the app makes a 500 of that too."""

    def ask_more(root: Path) -> None:
        orders = root / "shop" / "orders.py"
        before = "    percent = await run_in_threadpool"
        orders.write_text(orders.read_text().replace(before, f"    await payments.quote(1)\n{before}", 1))

    done = plain(ask_more)

    assert 1 == done.returncode, done.stdout
    assert re.search(r"Left contains one more item: 'GET http://.*/v1/quotes\?amount=1'", done.stdout), done.stdout


def test_it_passes_beside_fluxrun_too(exported: Project) -> None:
    """Where it is installed, the app's own use of it records nothing and gets in the way of nothing."""
    done = exported.python(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_fluxrun.plugin",
        "test_plain.py",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )

    assert 0 == done.returncode, done.stdout


def test_it_says_what_it_carries_and_what_it_does_not(exported: Project) -> None:
    """In its docstring, before anything else."""
    text = (exported.root / "test_plain.py").read_text()
    docstring = text.split('"""')[1]

    assert "answered 500 and raised TypeError" in docstring
    assert "- 1 HTTP answer, by respx\n- 2 SQL answers, by a stub of sqlite3\n- 1 answer of rates.rate" in docstring
    assert "- randomness: " in docstring.partition("Not carried:")[2]
    assert "import pytest_fluxrun" not in text.replace("        import pytest_fluxrun  # noqa: F401", "")
