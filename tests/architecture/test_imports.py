"""What is imported when: the façade loads nothing, production loads no test framework, the plugin loads little."""

from __future__ import annotations

import subprocess
import sys
import textwrap

TEST_ONLY = ("pytest", "_pytest", "respx", "time_machine")


def run_python(code: str, **environment: str) -> str:
    """The standard output of a fresh interpreter."""
    import os

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_else():
    """The façade is lazy: after `import pytest_fluxrun` only it is loaded."""
    loaded = run_python("""
        import sys
        before = set(sys.modules)
        import pytest_fluxrun
        print(sorted(set(sys.modules) - before))
    """)
    assert loaded.strip() == "['pytest_fluxrun']"


def test_every_public_name_resolves():
    """Each name of the façade's `__all__` is there."""
    shown = run_python("""
        import pytest_fluxrun
        print([name for name in pytest_fluxrun.__all__ if getattr(pytest_fluxrun, name, None) is None])
    """)
    assert shown.strip() == "[]"


PRODUCTION = """
    import sys

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {refused!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Refuse())
    import asyncio, sqlite3, logging
    import httpx
    import pytest_fluxrun as fluxrun

    fluxrun.init(project="shop", sample=1.0)

    @fluxrun.capture("add")
    def add(one: int, other: int) -> int:
        sqlite3.connect(":memory:").execute("select 1").fetchall()
        logging.getLogger("app").warning("adding")
        return one + other

    async def app(scope, receive, send):
        await send({{"type": "http.response.start", "status": 500, "headers": []}})
        await send({{"type": "http.response.body", "body": b""}})

    wrapped = fluxrun.instrument(app, name="web")
    table = fluxrun.host("table", {{}})
    assert add(1, 2) == 3
    assert fluxrun.flush(10)
    print(sorted(name for name in sys.modules if name.split(".")[0] in {refused!r}))
"""


def test_recording_works_where_the_test_frameworks_are_absent():
    """The SDK runs in an interpreter that can't import pytest, respx or time_machine."""
    shown = run_python(PRODUCTION.format(refused=TEST_ONLY), FLUXRUN_DRY_RUN="1")
    assert shown.strip() == "[]"


def test_the_plugin_loads_little_where_it_isnt_used(tmp_path):
    """At pytest's start the plugin adds at most ten modules of its own."""
    shown = run_python(f"""
        import sys, pytest
        class Watch:
            def pytest_configure(self, config):
                names = [name for name in sys.modules if name.startswith("pytest_fluxrun")]
                print("LOADED", len(names), names)
        pytest.main(["-q", "-p", "no:cacheprovider", "--collect-only", {str(tmp_path)!r}], plugins=[Watch()])
    """)
    line = next(line for line in shown.splitlines() if line.startswith("LOADED"))
    assert int(line.split()[1]) <= 10, line


def test_collecting_loads_no_cryptography():
    """Who selects or lists runs opens none: what opens them is loaded with the first that is replayed."""
    shown = run_python("""
        import sys
        import pytest_fluxrun.plugin.session
        print("cryptography" in sys.modules)
    """)
    assert shown.strip() == "False"


def test_recording_builds_the_index_at_start_up():
    """Not when the first run is kept, while requests are served."""
    shown = run_python(
        """
        import pytest_fluxrun as fluxrun
        fluxrun.init(project="shop")
        from pytest_fluxrun.bundle import Index
        print(Index.__pydantic_complete__)
        """,
        FLUXRUN_DRY_RUN="1",
    )
    assert shown.strip() == "True"
