"""Seams: installed once, verified, and put back without touching what others did since."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

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
