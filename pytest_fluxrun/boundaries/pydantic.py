"""pydantic: PastDate, FutureDate, PastDatetime and FutureDatetime, which read the clock in Rust.

At replay what they validate is compared with the run's own clock, by the same rule and with the same error.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]

_TYPES: Final = ("PastDate", "FutureDate", "PastDatetime", "FutureDatetime")


class Pydantic(Seams):
    """Ambient: the time of a validation is the run's. A schema built by hand with `now_op` isn't seen."""

    name: ClassVar[str] = "pydantic"
    modules = ("pydantic.types",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Nothing: while recording, the real time is the run's."""
        del module
        return ()

    def replay_patches(self, module: Any) -> Iterable[Patch]:
        """The types' schemas, for models that are defined from now on."""
        for name in _TYPES:
            yield Patch(getattr(module, name), "__get_pydantic_core_schema__", _comparing)


def _comparing(original: Any) -> Any:
    """The schema without its own look at the clock, and a look at the run's behind it."""
    function = original.__func__

    @functools.wraps(function)
    def schema_of(cls: Any, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        schema = function(cls, source, handler)
        when = schema.pop("now_op", None)
        if when is None:
            return schema
        return core_schema.no_info_after_validator_function(functools.partial(_checked, when), schema)

    return classmethod(schema_of)


def _checked(when: str, value: Any) -> Any:
    """The value, where it lies in the past, or in the future.

    Raises:
        PydanticKnownError: it doesn't.
    """
    from pydantic_core import PydanticKnownError

    is_datetime = isinstance(value, dt.datetime)
    now: Any = dt.datetime.now(value.tzinfo) if is_datetime else dt.datetime.now().date()  # noqa: DTZ005 - as the type does
    if (value < now) if when == "past" else (value > now):
        return value
    kind: Any = f"{'datetime' if is_datetime else 'date'}_{when}"
    raise PydanticKnownError(kind)


boundary = Pydantic()
