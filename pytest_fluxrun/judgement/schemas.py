"""The JSON Schema that a guard states for a fix: read from beside the guard, and where a value doesn't keep to it.

The package `jsonschema` is the extra `schema`; it is imported where a guard states one, and only there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.judgement.comparison import ABSENT, OutcomeDifference, differing
from pytest_fluxrun.judgement.comparison.difference import beneath
from pytest_fluxrun.judgement.guard import Fix, Guard

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

__all__ = ["schema_differences", "with_schema"]

_MOST: Final = 50
_LONGEST: Final = 120


def with_schema(guard: Guard, directory: Path) -> Guard:
    """The guard with the schema that its fix names, checked to be one.

    Args:
        directory: where the guard lies; the schema's path counts from there.

    Raises:
        GuardError: the file can't be read, holds no schema, or `jsonschema` isn't installed.
    """
    if guard.fix is None or guard.fix.schema_ is None:
        return guard
    stated = guard.fix.schema_
    document = _read(directory / stated, stated) if isinstance(stated, str) else stated
    _validator(document, "[fix] schema" if isinstance(stated, dict) else stated)
    return guard.model_copy(update={"fix": guard.fix.having_schema(document)})


def schema_differences(fix: Fix, value: Any, path: str) -> Iterator[OutcomeDifference]:
    """Where a value doesn't keep to the fix's schema, by path, at most 50.

    Raises:
        GuardError: the schema refers to what isn't in it.
    """
    validator = _validator(fix.schema_document, "[fix] schema")
    from referencing.exceptions import Unresolvable

    found: dict[str, OutcomeDifference] = {}
    try:
        for error in validator.iter_errors(value):
            for difference in _told(error, path):
                found.setdefault(difference.path, difference)
            if len(found) >= _MOST:
                break
    except Unresolvable as error:
        raise GuardError(
            "the schema of a guard can't be used",
            why=f"it refers to what isn't in it: {error}",
            next_step="put what it refers to under its own $defs: nothing is fetched",
        ) from None
    yield from found.values()


def _read(path: Path, stated: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GuardError(
            f"the schema {stated!r} of a guard can't be read",
            why=str(error),
            next_step=f"put a JSON Schema at {path}, or correct `schema` in the guard's table [fix]",
        ) from error


def _validator(document: Any, name: str) -> Validator:
    try:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ImportError as error:
        raise GuardError(
            "a guard states a JSON Schema, which can't be checked here",
            why=f"the package jsonschema isn't installed: {error}",
            next_step="pip install 'pytest-fluxrun[schema]'",
        ) from error
    kind = validator_for(document, default=Draft202012Validator)
    try:
        kind.check_schema(document)
    except SchemaError as error:
        raise GuardError(
            f"{name} is no JSON Schema",
            why=f"{error.json_path}: {error.message[:_LONGEST]}",
            next_step="correct it; without `$schema` it is read as draft 2020-12",
        ) from None
    validator: Validator = kind(document, registry=Registry())
    return validator


def _told(error: Any, path: str) -> Iterator[OutcomeDifference]:
    place = beneath(path, error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield from (differing(beneath(place, [name]), "schema: required", ABSENT) for name in missing)
    else:
        rule = json.dumps(error.validator_value, ensure_ascii=False, default=str)
        shown = rule if len(rule) <= _LONGEST else f"{rule[:_LONGEST]}…"
        yield differing(place, f"schema: {error.validator} {shown}", error.instance)
