"""numpy.random: the module's own functions and generators of `default_rng`, by their state and not by what they draw.

A state is recorded where a generator stands elsewhere than the run left it: at its first draw in the run, and where
another run drew in between. Draws of arrays cost no more than others. Generators that were made by their class
(`Generator(PCG64())`, `RandomState(1)`) before the run, and copies of functions made before the seams, escape.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE

__all__ = ["boundary"]

_NOT_DRAWING: Final = frozenset({"bit_generator", "spawn", "seed", "get_state", "set_state", "get_bit_generator"})


class Numpy(Seams):
    """Ambient: read, never matched."""

    name: ClassVar[str] = "numpy"
    modules = ("numpy.random",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """The functions of the module, which share one generator, and what makes generators."""
        shared = module.mtrand._rand  # noqa: SLF001 - the instance behind the module's functions
        for name in _drawing(shared):
            if callable(vars(module).get(name)):
                yield Patch(module, name, functools.partial(_placed, _Shared(shared)))
        yield Patch(module, "default_rng", functools.partial(_making, _seamed(module.Generator)))


def _drawing(generator: Any) -> list[str]:
    """The names of its methods that draw."""
    names = (name for name in dir(generator) if not name.startswith("_") and name not in _NOT_DRAWING)
    return [name for name in names if callable(getattr(generator, name, None))]


class _Shared:
    """The state of the generator behind the module's functions."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    @property
    def state(self) -> Any:
        return self._generator.get_state(legacy=False)

    @state.setter
    def state(self, state: Any) -> None:
        self._generator.set_state(state)


class _Uses:
    """How one run has used generators so far: which it met, how often each drew, and where it left them."""

    def __init__(self) -> None:
        self.known: list[Any] = []
        self.draws: list[int] = []
        self.left: list[Any] = []

    def number(self, source: Any) -> int:
        for number, known in enumerate(self.known):
            if known is source:
                return number
        self.known.append(source)
        self.draws.append(0)
        self.left.append(None)
        return len(self.known) - 1


_uses: weakref.WeakKeyDictionary[Any, _Uses] = weakref.WeakKeyDictionary()


def _placed(source: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that draws from one generator, which stands where the run has it."""

    @functools.wraps(original)
    def draw(*arguments: Any, **named: Any) -> Any:
        return _drawn(source, original, arguments, named)

    return draw


def _drawn(source: Any, original: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """A draw.

    Args:
        source: has the generator's `state`, to read and to set.
    """
    lane = LANE.get()
    if lane is None or lane.ambient is None or lane.session.closed:
        return original(*arguments, **named)
    uses = _uses.get(lane.session)
    if uses is None:
        uses = _uses[lane.session] = _Uses()
    number = uses.number(source)
    uses.draws[number] += 1
    _place(lane.session, f"{number} {uses.draws[number]}", source, uses.left[number])
    try:
        return original(*arguments, **named)
    finally:
        uses.left[number] = _plain(source.state)


def _place(session: Any, key: str, source: Any, left: Any) -> None:
    """Record where the generator stands, unless the run left it there; or put it where it stood then."""
    if session.answers:
        recorded = session.read("numpy", key, lambda: None)
        if recorded is not None:
            source.state = _rich(recorded)
        return
    now = _plain(source.state)
    if now != left:
        session.read("numpy", key, lambda: now)


def _plain(state: Any) -> Any:
    """A state as plain values: arrays as bytes with their type."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    if getattr(state, "ndim", 0):
        return {"dtype": state.dtype.str, "data": state.tobytes()}
    return state.item() if hasattr(state, "item") else state


def _rich(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if set(state) == {"dtype", "data"}:
        import numpy as np

        return np.frombuffer(state["data"], dtype=state["dtype"]).copy()
    return {key: _rich(value) for key, value in state.items()}


def _seamed(generator: Any) -> Any:
    """A class like numpy's Generator whose methods draw as the run does. Pickled, it is numpy's own again."""

    def method(name: str) -> Callable[..., Any]:
        stock = getattr(generator, name)

        @functools.wraps(stock)
        def draw(self: Any, *arguments: Any, **named: Any) -> Any:
            return _drawn(self.bit_generator, functools.partial(stock, self), arguments, named)

        return draw

    methods = {name: method(name) for name in _drawing(generator)}
    said = {"__module__": generator.__module__, "__qualname__": generator.__qualname__, "__doc__": generator.__doc__}
    return type(generator.__name__, (generator,), {**methods, **said})


def _making(cls: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def default_rng(*arguments: Any, **named: Any) -> Any:
        made = original(*arguments, **named)
        return cls(made.bit_generator) if type(made) is cls.__base__ else made

    return default_rng


boundary = Numpy()
