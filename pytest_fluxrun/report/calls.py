"""A recorded call and its answer, each on one line: what they say, and what may be told without saying it. Pure.

What is told without values: statuses, sizes, counts, types, and the shapes that kinds give.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.registry import kind_named, text_of
from pytest_fluxrun.report.described import type_and_size
from pytest_fluxrun.report.plain_text import shown
from pytest_fluxrun.run import Interaction
from pytest_fluxrun.values import decode, plain

__all__ = ["answer_shape", "answer_text", "call_shape", "call_text", "error_name", "joined", "raised_text"]

_CHANGED: Final = ("rowcount", "count")
"""Under what name the answers of SQL boundaries hold how many rows a statement changed."""
_ABSENT: Final = object()


def call_text(interaction: Interaction) -> str:
    """What was asked, with its arguments."""
    request = plain(interaction.request)
    if isinstance(request, dict) and "undumpable" in request:
        return f"(it could not be recorded: {request['undumpable']})"
    try:
        return text_of(interaction, request)
    except (FluxRunError, LookupError, TypeError, ValueError, AttributeError):  # a form that its kind no longer reads
        return shown(request)


def call_shape(interaction: Interaction) -> str:
    """What was asked, with nothing in it that could be a value; the kind's name where it isn't loaded or can't tell."""
    kind = kind_named(interaction.kind)
    try:
        return interaction.kind if kind is None else kind.shape(decode(interaction.request))
    except (FluxRunError, LookupError, TypeError, ValueError, AttributeError):  # a form that its kind no longer reads
        return interaction.kind


def answer_text(interaction: Interaction) -> str:
    """An answer by its shape: a status and a body, rows, a count, or whatever it is."""
    if interaction.failed:
        return raised_text(plain(interaction.error))
    answer = plain(interaction.answer)
    if not isinstance(answer, dict):
        return shown(answer)
    failed = answer.get("error") or answer.get("failure")
    ending = f", then {raised_text(failed)}" if isinstance(failed, dict) else ""
    if "chunks" in answer and "status" in answer:
        return f"{answer['status']} {shown(joined(answer.get('chunks', ())))}{ending}"
    if isinstance(answer.get("rows"), list) and answer.get("columns"):
        rows = answer["rows"]
        first = f": {shown(rows[0])}" if len(rows) == 1 else ""
        return f"{_counted(len(rows), 'row')}{first}{ending}"
    if (changed := next((answer[name] for name in _CHANGED if name in answer), _ABSENT)) is not _ABSENT:
        return f"{_changed(changed)}{ending}"
    return shown(answer)


def answer_shape(interaction: Interaction) -> str:
    """`answer_text` with sizes, counts and types in place of what was answered."""
    if interaction.failed:
        return f"raised {error_name(plain(interaction.error)) or 'an error'}"
    answer = plain(interaction.answer)
    if not isinstance(answer, dict):
        return type_and_size(answer)
    failed = answer.get("error") or answer.get("failure")
    ending = f", then raised {error_name(failed) or 'an error'}" if isinstance(failed, dict) else ""
    if "chunks" in answer and isinstance(answer.get("status"), int):
        body = joined(answer.get("chunks", ()))
        return f"{answer['status']}, {_counted(len(body.encode() if isinstance(body, str) else body), 'byte')}{ending}"
    if isinstance(answer.get("rows"), list) and answer.get("columns"):
        return f"{_counted(len(answer['rows']), 'row')}{ending}"
    if (changed := next((answer[name] for name in _CHANGED if name in answer), _ABSENT)) is not _ABSENT:
        return f"{_changed(changed)}{ending}"
    return type_and_size(answer)


def joined(pieces: Iterable[Any]) -> str | bytes:
    """A body that came in pieces: text where it is UTF-8."""
    body = b"".join(piece.encode() if isinstance(piece, str) else bytes(piece) for piece in pieces)
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def raised_text(error: Any) -> str:
    """`raised module.Name: message` of an error's plain form."""
    if not error_name(error):
        return f"raised {shown(error)}"
    return f"raised {error_name(error)}: {error.get('message', '')}"


def error_name(error: Any) -> str:
    """The class of an error's plain form, as people write it; "" where it isn't one."""
    if not isinstance(error, dict) or "type" not in error:
        return ""
    return str(error["type"]).replace(":", ".").removeprefix("builtins.")


def _changed(rowcount: Any) -> str:
    return f"done, {_counted(rowcount, 'row')} changed" if isinstance(rowcount, int) and rowcount >= 0 else "done"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
