"""The guard file: a run pinned by digest plus what is expected of it. Reading and writing the TOML share this file."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.errors import GuardError

__all__ = [
    "GUARD_SUFFIX",
    "Answer",
    "CallCount",
    "DriftRules",
    "Fix",
    "Guard",
    "Ignore",
    "answer_lines",
    "read_guard",
    "replace_guards",
    "rewritten",
    "to_toml",
    "write_guard",
]

GUARD_SUFFIX = ".guard.toml"
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
"""Built on first use: a session that replays no run, or none with a guard, doesn't wait for it."""
T = TypeVar("T")
Several = Annotated[tuple[T, ...], Field(strict=False)]
"""A TOML array; its items are checked strictly."""


_CODES = range(100, 1000)
_HUNDRED = re.compile("[1-9]xx")


class Fix(BaseModel):
    """The outcome that fixed code has. What is absent isn't compared.

    Attributes:
        status: HTTP status; `2xx` for any of a hundred; or a list of such.
        headers: header name → value, case-insensitive names.
        schema: a JSON Schema of the body, or of what a function returns; or its file's path, from where the guard lies.
        body: a subset of a JSON body, or the whole text of another.
        returns: a subset of the return value.
        raises: the exception's class name, bare or qualified.
        effects: numbers of recorded calls whose change or absence belongs to the fix.
    """

    model_config = ConfigDict(**_STRICT, populate_by_name=True)

    status: int | str | tuple[int | str, ...] | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    returns: Any = None
    raises: str = ""
    effects: Several[Annotated[int, Field(ge=1)]] = ()
    schema_: dict[str, Any] | str | None = Field(default=None, alias="schema")
    _document: Any = PrivateAttr(None)

    @field_validator("status", mode="plain")
    @classmethod
    def _codes(cls, status: Any) -> int | str | tuple[int | str, ...] | None:
        several = isinstance(status, list | tuple)
        codes = tuple(status) if several else () if status is None else (status,)
        for code in codes if not several or codes else (status,):
            known = code in _CODES if type(code) is int else isinstance(code, str) and _HUNDRED.fullmatch(code)
            if not known:
                raise ValueError(f'{code!r} is no status: give one of 100 to 999, "4xx", or a list of such')
        return codes if several else status

    @field_validator("schema_")
    @classmethod
    def _beside(cls, schema: dict[str, Any] | str | None) -> dict[str, Any] | str | None:
        if isinstance(schema, str) and (not schema or Path(schema).is_absolute()):
            raise ValueError(f"{schema!r} isn't a path that counts from where the guard lies")
        return schema

    @property
    def schema_document(self) -> Any:
        """The schema itself.

        Raises:
            GuardError: it is in a file that `schemas.with_schema` hasn't read.
        """
        document = self.schema_ if isinstance(self.schema_, dict) else self._document
        if document is None:
            raise GuardError(
                f"the schema {self.schema_!r} of a guard isn't read",
                why="the guard was read without the directory that it lies in",
                next_step="open the run by `open_placed`",
            )
        return document

    def having_schema(self, document: Any) -> Fix:
        """The same fix, with what its schema's file holds."""
        copy = self.model_copy()
        copy._document = document  # noqa: SLF001 - its own class's
        return copy


class Ignore(BaseModel):
    """Paths that aren't compared; opt-in, and listed in every report."""

    model_config = _STRICT

    paths: Several[str] = ()


class DriftRules(BaseModel):
    """Rules for drift: `kind` or `kind: text`, with `*` as a wildcard in the text. See `drift_rules`.

    Attributes:
        allow: drift that may be; wins over everything else.
        fail: drift that fails though it is only noted by default.
    """

    model_config = _STRICT

    allow: Several[str] = ()
    fail: Several[str] = ()

    @field_validator("allow", "fail")
    @classmethod
    def _known(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            if rule.partition(":")[0].strip() not in set(DriftKind):
                raise ValueError(f"{rule!r} begins with none of the kinds of drift: {', '.join(DriftKind)}")
        return rules

    @model_validator(mode="after")
    def _agree(self) -> DriftRules:
        both = set(self.allow).intersection(self.fail)
        if both:
            raise ValueError(f"{min(both)!r} is both in allow and in fail: delete one of them")
        return self


class Answer(BaseModel):
    """What a call that the run lacks is answered.

    Attributes:
        call: `boundary operation`, as a failure shows it, with `*` for anything.
        reply: in the words of the boundary: `count`, `rows`, `status`, ….
    """

    model_config = _STRICT

    call: Annotated[str, StringConstraints(min_length=1)]
    reply: dict[str, Any] = Field(default_factory=dict)


class CallCount(BaseModel):
    """How often the replay may make a call.

    Attributes:
        call: as `[[answers]]` name it: `httpx POST https://pay.example/*`, or by kind, `http POST pay.example/*`.
    """

    model_config = _STRICT

    call: Annotated[str, StringConstraints(min_length=1)]
    count: Annotated[int, Field(ge=0)] | None = None
    at_least: Annotated[int, Field(ge=1)] | None = None
    at_most: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> CallCount:
        bounds = (self.at_least, self.at_most)
        if self.count is None and bounds == (None, None):
            raise ValueError("say how often: count = N, at_least = N or at_most = N")
        if self.count is not None and bounds != (None, None):
            raise ValueError("count = N says all: leave at_least and at_most out")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least = {self.at_least} is more than at_most = {self.at_most}")
        return self


class Guard(BaseModel):
    """A guard file's content.

    Attributes:
        run: the run's id.
        sha256: of the bundle file, hex.
        expect: the outcome: as recorded, or fixed.
        pending: the fix isn't there yet: the recorded failure is an expected failure.
        beyond: what fixed code that asks for more than the recording has counts as.
        logs: whether log records are compared too, in order, by level, logger and message.
        supplement: digest of the file of answers that `fluxrun extend` put beside the bundle, hex, or "".
        answers: of calls that fixed code makes and the run lacks; made up, or known by a person.
        calls: how often the replay makes them, whatever is expected of the outcome.
        proven: the release, or the commit, on which the run replayed to its own outcome.
    """

    model_config = _STRICT

    run: Annotated[str, StringConstraints(pattern="^[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    title: str = ""
    expect: Literal["recorded", "fix"] = "recorded"
    pending: bool = False
    beyond: Literal["fail", "accept"] = "fail"
    logs: bool = False
    supplement: Annotated[str, StringConstraints(pattern="^([0-9a-f]{64})?$")] = ""
    proven: str = ""
    fix: Fix | None = None
    ignore: Ignore = Ignore()
    drift: DriftRules = DriftRules()
    answers: Several[Answer] = ()
    calls: Several[CallCount] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Guard:
        if self.fix is not None and self.expect != "fix":
            raise ValueError('there is a table [fix], but expect = "recorded": set expect = "fix" or delete the table')
        if self.pending and self.expect != "fix":
            raise ValueError('pending = true needs expect = "fix": a recorded outcome can\'t be pending')
        return self


def read_guard(path: Path) -> Guard:
    """Read a guard file.

    Raises:
        GuardError: it can't be read, isn't TOML, or has a key or value that a guard can't have.
    """
    try:
        return Guard.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise GuardError(
            f"the guard {path.name} can't be used",
            why=f"{place}: {first['msg'].removeprefix('Value error, ')}",
            next_step="correct it, or delete it and write it anew with "
            f"`fluxrun expect {path.name.removesuffix(GUARD_SUFFIX)}`",
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GuardError(
            f"the guard {path.name} can't be read",
            why=str(error),
            next_step="restore it from version control",
        ) from error


def write_guard(path: Path, guard: Guard) -> None:
    """Write a guard file in one step; what was there is replaced only when the new file is whole, its comments stay.

    Raises:
        GuardError: as `rewritten`.
    """
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    _laid_beside(path, rewritten(before, guard)).replace(path)


def replace_guards(changes: Mapping[Path, tuple[str, str]]) -> None:
    """Replace several guard files, all of them or none.

    Args:
        changes: per file the text that it must still have, and the new one.

    Raises:
        GuardError: one isn't what it was, or can't be written; then all are as they were.
    """
    laid: dict[Path, Path] = {}
    replaced: list[Path] = []
    try:
        for path, (before, after) in changes.items():
            if path.read_text(encoding="utf-8") != before:
                raise GuardError(
                    f"no guard was changed, since {path.name} isn't what it was when its run was replayed",
                    why="something else has written it meanwhile",
                    next_step="look at the file, then run the same command again",
                )
            laid[path] = _laid_beside(path, after)
        for path, new in laid.items():
            new.replace(path)
            replaced.append(path)
    except OSError as error:
        for path in replaced:
            _laid_beside(path, changes[path][0]).replace(path)
        raise GuardError(
            "no guard was changed",
            why=f"{error.filename or 'a file'}: {error.strerror or error}",
            next_step="check the permissions and the free space there, then run the same command again",
        ) from error
    finally:
        for new in laid.values():
            new.unlink(missing_ok=True)


def _laid_beside(path: Path, text: str) -> Path:
    """A file with the text, whole and on disk, in the same directory."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n", dir=path.parent, delete=False) as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).chmod(0o644)
    return Path(stream.name)


def digest(bundle: bytes) -> str:
    """The digest by which a guard pins a bundle."""
    return hashlib.sha256(bundle).hexdigest()


def rewritten(before: str, guard: Guard) -> str:
    """The text of a guard's file that says what the guard says; comments and order of the text before are kept.

    Args:
        before: what the file holds, or "" where there is none.

    Raises:
        GuardError: it can't be changed so, or TOML has no form for what the guard says.
    """
    fresh = to_toml(guard)
    try:
        earlier = Guard.model_validate(tomllib.loads(before)) if before else None
    except (ValueError, tomllib.TOMLDecodeError):  # nothing that a guard can keep
        earlier = None
    if earlier is None or before == to_toml(earlier):
        return fresh
    if earlier == guard:
        return before
    from pytest_fluxrun.judgement.guard_text import changed_text

    text = changed_text(before, tomllib.loads(fresh), guard.model_dump(by_alias=True))
    if Guard.model_validate(tomllib.loads(text)) != guard:
        raise GuardError(
            f"the guard of run {guard.run[:10]} can't be changed with its comments kept",
            why="its text and what it is to say don't go together",
            next_step="write it as FluxRun does, without comments, and run the same command again:\n" + fresh,
        )
    return text


def to_toml(guard: Guard) -> str:
    """A guard as TOML, in the order that a reviewer reads."""
    table = guard.model_dump(exclude_defaults=True, by_alias=True)
    table["expect"] = guard.expect
    several = {key: table.pop(key) for key in ("calls", "answers") if key in table}
    tables = {key: table.pop(key) for key in ("fix", "ignore", "drift") if key in table}
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    for name, content in tables.items():
        lines.append(f"\n[{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in content.items()]
    for array, items in several.items():
        for item in items:
            lines += ["", *_item_lines(array, item)]
    return "\n".join(lines) + "\n"


def answer_lines(answer: Answer) -> list[str]:
    """The table of one answer, as a guard has it."""
    return _item_lines("answers", answer.model_dump())


def _item_lines(name: str, item: dict[str, Any]) -> list[str]:
    return [f"[[{name}]]", *(f"{key} = {_toml(value)}" for key, value in item.items())]


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _toml_string(value)
        case date() | time():
            return value.isoformat()
        case dict():
            items = ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
        case list() | tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            raise GuardError(
                f"a guard can't hold {value!r}", why="TOML has no form for it", next_step="leave that key out"
            )


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _toml_string(key)


def _toml_string(text: str) -> str:
    if not text.isascii() and not _is_unicode(text):
        raise GuardError(
            f"a guard can't hold {text!r}",
            why="it has a lone surrogate, which is no character",
            next_step="leave it out",
        )
    return '"' + "".join(map(_toml_character, text)) + '"'


def _toml_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
