"""The registry: boundaries are found by file, load with their library, and entries recognise what they wrap."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from pytest_fluxrun import registry
from pytest_fluxrun.boundary import Uncovered
from pytest_fluxrun.entries.asgi import entry as asgi
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.kinds.http import HTTP
from pytest_fluxrun.run import Interaction
from tests.compatibility import pins


def run_python(code: str) -> list[str]:
    """What a fresh interpreter printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def test_boundary_loads_with_its_library_and_not_before():
    """Installing imports no library, whenever the library comes: before or after."""
    shown = run_python("""
        import sys, sqlite3
        from pytest_fluxrun import patching, registry
        registry.install_seams()
        loaded = [registry.boundary_named(name) is not None for name in ("httpx", "sqlite3")]
        print("httpx" in sys.modules, *loaded)
        before = len(patching.installed())
        import httpx
        print(registry.boundary_named("httpx").name, len(patching.installed()) > before)
        seams = patching.installed()
        registry.install_seams()
        print(seams == patching.installed(), patching.displaced())
    """)
    assert ["False False True", "httpx True", "True ()"] == shown


def test_every_boundary_file_declares_its_modules():
    """By file name, read from the source."""
    declared = registry.declared_boundaries()
    assert ("httpx",) == declared["httpx"]
    assert {"httpx", "httpx2", "sqlite3", "aiosqlite", "clock", "entropy", "environment", "logging"} <= declared.keys()


def test_boundary_that_names_further_modules_is_woken_by_them(tmp_path):
    """The entry point is named after one module; the boundary's own list adds others."""
    (tmp_path / "plain_lib.py").write_text("def go():\n    return 1\n")
    (tmp_path / "plain_more.py").write_text("def go():\n    return 1\n")
    (tmp_path / "plain_fluxrun.py").write_text(
        textwrap.dedent("""
        from pytest_fluxrun.boundary import Patch, Seams

        class Plain(Seams):
            name = "plain"
            modules = ("plain_lib", "plain_more")

            def patches(self, module):
                yield Patch(module, "go", lambda original: lambda: original() + 1)

        boundary = Plain()
        """)
    )
    metadata = tmp_path / "plain-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plain\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fluxrun.boundaries]\nplain_lib = plain_fluxrun:boundary\n")
    shown = run_python(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from pytest_fluxrun import registry
        registry.install_seams()
        import plain_lib, plain_more
        print(plain_lib.go(), plain_more.go())
    """)
    assert ["2 2"] == shown


def test_what_only_a_replay_needs_is_patched_by_no_recording():
    """And by a replay whenever the library comes; hashlib's functions are the library's own in production."""
    shown = run_python("""
        import hashlib
        from pytest_fluxrun import registry
        stock = hashlib.sha256
        registry.install_seams()
        print(hashlib.sha256 is stock)
        registry.install_replay_seams()
        replaced = hashlib.sha256
        registry.install_replay_seams()
        print(replaced is stock, hashlib.sha256 is replaced, replaced(b"a").digest() == stock(b"a").digest())
    """)
    assert ["True", "False True True"] == shown


def test_object_that_no_entry_recognises_is_refused():
    """The error names its class and what it could be."""
    with pytest.raises(SettingsError) as raised:
        registry.instrument({}, name="web")
    assert "builtins.dict" in raised.value.what
    assert "an ASGI application (Django, " in raised.value.next_step


def test_entries_and_kinds_are_found_by_name():
    """What isn't there is None."""
    assert registry.entry_kind("asgi") is asgi
    assert registry.entry_kind("wsgi-2") is None
    assert registry.kind_named("http") is HTTP
    assert registry.kind_named("carrier-pigeon") is None
    assert registry.boundary_named("nothing") is None


def test_call_of_an_unknown_kind_still_has_a_text():
    """A bundle may come from a project with more boundaries."""
    assert "pigeon {'to': 'x'}" == registry.text_of(Interaction("pigeon", "pigeon", 1, 0, 0, 0, None), {"to": "x"})


def test_version_outside_of_what_was_tested_is_named(monkeypatch: pytest.MonkeyPatch):
    """By release, whatever follows it; a boundary that reaches into no library's insides says nothing."""

    class Driver(Uncovered):
        name = "driver"
        modules = ("driver",)
        distribution = "wrapt"
        tested = ("0.1", "0.2.9")

        def patches(self, module: object) -> tuple[()]:
            return ()

    here = version("wrapt")
    monkeypatch.setattr(registry, "_loaded", {"driver": Driver()})

    assert (("driver", f"wrapt {here} (tested with 0.1 to 0.2.9)"),) == registry.untested_versions()

    Driver.tested = ("0.1", f"{here}.post1")
    assert () == registry.untested_versions()
    Driver.distribution = ""
    assert () == registry.untested_versions()


def test_tested_versions_are_the_oldest_that_is_pinned_and_a_newer_one():
    """What a boundary says of versions is what `./dev oldest` and the table ran."""
    pinned = pins()
    folder = Path(registry.__file__).with_name("boundaries")
    files = [path.stem for path in folder.glob("*.py") if "\n    distribution" in path.read_text()]
    boundaries = [import_module(f"pytest_fluxrun.boundaries.{name}").boundary for name in files]
    for seams in boundaries:
        assert pinned[seams.distribution] == seams.tested[0], seams.distribution
        assert Version(seams.tested[0]) <= Version(seams.tested[1])
    assert {seams.distribution for seams in boundaries} == {found for found, _, _ in registry.declared_versions()}


def test_every_boundary_is_woken_by_the_modules_that_it_names():
    """The source says so where nothing of it is imported; a class before the boundary's own hides none."""
    declared = registry.declared_boundaries()
    for name, modules in declared.items():
        source = Path(registry.__file__).with_name("boundaries") / f"{name}.py"
        if source.is_file():
            boundary = import_module(f"pytest_fluxrun.boundaries.{name}").boundary
            assert set(boundary.modules) <= set(modules), name
