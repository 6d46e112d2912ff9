"""Seams: installed once, verified, and put back without touching what others did since."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wrapt

from pytest_fluxrun import patching
from pytest_fluxrun.patching import Displaced, Patch


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    patching.restore_all()
    yield
    patching.restore_all()


def doubled(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: original(*args) * 2


@pytest.fixture
def library() -> Any:
    class Base:
        def inherited(self) -> int:
            return 1

    class Library(Base):
        factor = 10

        def method(self, number: int) -> int:
            return self.factor * number

        @staticmethod
        def static(number: int) -> int:
            return number

        @classmethod
        def made(cls, number: int) -> int:
            return cls.factor * number

    return Library


def test_methods_of_every_sort_are_wrapped_and_put_back(library: Any):
    """By class and by instance; an inherited one is deleted again, not copied."""
    before = dict(vars(library))
    patching.install(Patch(library, name, doubled) for name in ("method", "static", "made", "inherited"))

    assert [20, 2, 20, 2] == [library().method(1), library().static(1), library().made(1), library().inherited()]
    assert [2, 20] == [library.static(1), library.made(1)]
    patching.restore_all()

    assert before == dict(vars(library))
    assert (10, 1) == (library().method(1), library().inherited())


def test_functions_of_modules_are_wrapped():
    """A module is an owner like a class."""
    module = types.ModuleType("library")
    module.function = lambda number: number
    patching.install([Patch(module, "function", doubled)])
    assert 2 == module.function(1)
    assert ("library.function",) == patching.installed()
    patching.restore_all()
    assert 1 == module.function(1)


def test_seam_is_installed_once(library: Any):
    """A second patch of the same place is ignored."""
    for _ in range(3):
        patching.install([Patch(library, "method", doubled)])
    assert 20 == library().method(1)
    assert 1 == len(patching.installed())


def test_displaced_seam_is_named_with_what_is_there_now(library: Any):
    """Overwritten, deleted, wrapped on top; one that is in place isn't named."""

    def other(self: Any, number: int) -> int:
        return number

    patching.install(Patch(library, name, doubled) for name in ("method", "static", "made"))
    assert () == patching.displaced()
    library.method = other
    del library.static

    name = f"{__name__}.{library.__qualname__}"
    overwritten, deleted = patching.displaced()
    assert f"{name}.method" == overwritten.seam
    assert overwritten.found.startswith(f"{__name__}.{other.__qualname__}")
    assert Displaced(f"{name}.static", "nothing (the attribute was deleted)") == deleted


def test_what_others_put_on_top_is_left_alone(library: Any):
    """Undoing in the wrong order would take their patch away."""
    patching.install([Patch(library, "method", doubled)])
    on_top = library.method = doubled(library.method)
    patching.restore_all()
    assert library.method is on_top
    assert () == patching.displaced()


def test_missing_attribute_is_an_error_and_leaves_the_others_installed(library: Any):
    """A library that lost a method is noticed at once."""
    with pytest.raises(AttributeError):
        patching.install([Patch(library, "method", doubled), Patch(library, "gone", doubled)])
    assert 1 == len(patching.installed())


def _instrument(name: str, *, told: bool) -> Any:
    """A function of another package that puts a wrapper on a method, saying what it wraps or not."""
    source = "import functools\ndef put(owner, attribute):\n    wrapped = getattr(owner, attribute)\n"
    source += "    @functools.wraps(wrapped)\n" if told else ""
    source += "    def on_top(*args):\n        return wrapped(*args)\n    setattr(owner, attribute, on_top)\n"
    namespace = {"__name__": f"{name}.integration"}
    exec(source, namespace)
    return namespace["put"]


@pytest.mark.parametrize("told", [True, False], ids=["says-what-it-wraps", "closure"])
def test_trusted_wrapper_on_top_displaces_nothing(library: Any, monkeypatch: pytest.MonkeyPatch, told: bool):
    """One of a trusted package, also two deep; the same wrapper of any other package displaces."""
    monkeypatch.setattr(patching, "_trusted", set())
    patching.trust_wrappers_of("watcher")
    patching.install([Patch(library, "method", doubled), Patch(library, "static", doubled)])

    _instrument("watcher", told=True)(library, "method")
    _instrument("watcher", told=told)(library, "static")
    before = patching.displaced()
    _instrument("mocker", told=told)(library, "method")

    assert () == before
    assert ["method"] == [each.seam.rpartition(".")[2] for each in patching.displaced()]


def test_trusted_wrapper_of_something_else_displaces(library: Any, monkeypatch: pytest.MonkeyPatch):
    """Trust is in calling on: what lies beneath must be the seam."""
    monkeypatch.setattr(patching, "_trusted", set())
    patching.trust_wrappers_of("watcher")
    patching.install([Patch(library, "method", doubled)])

    library.method = lambda self, number: number
    _instrument("watcher", told=True)(library, "method")

    assert 1 == len(patching.displaced())


def test_wrapt_wrapper_of_a_trusted_package_displaces_nothing(library: Any, monkeypatch: pytest.MonkeyPatch):
    """Wrapt's proxies show the name of what they wrap; whose they are is told by the function inside."""
    monkeypatch.setattr(patching, "_trusted", {__name__.partition(".")[0]})
    patching.install([Patch(library, "method", doubled)])

    wrapt.wrap_function_wrapper(library, "method", lambda wrapped, _, args, kwargs: wrapped(*args, **kwargs))
    trusted = patching.displaced()
    monkeypatch.setattr(patching, "_trusted", set())

    assert () == trusted
    assert 1 == len(patching.displaced())
    assert 20 == library().method(1)


def test_displaced_seam_that_the_fence_stands_behind_hides_nothing(library: Any):
    """Another plugin may put the original back: what it does live is stopped and named."""
    patching.install([Patch(library, "method", doubled, fenced=True), Patch(library, "static", doubled)])
    library.method = library.static = None

    assert ["static"] == [each.seam.rpartition(".")[2] for each in patching.displaced()]
