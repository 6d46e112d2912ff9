"""A server's answer to a command as a Value, and back: what the packets say, with columns readable where they are text.

A column is kept as what it says where that gives the same bytes again, so that redaction sees texts as texts and leaves
numbers and times what they are; else as its bytes. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pytest_fluxrun.boundaries.mysql.packets import (
    MORE_RESULTS,
    Cursor,
    Field,
    Ok,
    end_body,
    integer,
    joined,
    payloads,
    row_body,
    row_of,
)
from pytest_fluxrun.errors import DamagedBundle, FluxRunError
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["LOCAL_INFILE", "dump_results", "load_results"]

LOCAL_INFILE: Final = 0xFB
"""What the first packet begins with where the server asks the client for a file of its own."""
_OK: Final = 0x00
_END: Final = 0xFE
_ERROR: Final = 0xFF
_LONGEST_END: Final = 9
_LONGEST_OK: Final = 0xFFFFFF
_INTEGERS: Final = frozenset({1, 2, 3, 8, 9, 13})
_DECIMALS: Final = frozenset({0, 4, 5, 246})
_DATES: Final = frozenset({10, 14})
_INSTANTS: Final = frozenset({7, 12})


def dump_results(stream: bytes, *, ends_by_ok: bool = False) -> Value:
    """The results of one command: the first one, with the others under `more`; `ended` says that none is missing.

    Args:
        ends_by_ok: the connection has agreed on CLIENT_DEPRECATE_EOF.
    """
    found = list(_results(payloads(stream), ends_by_ok=ends_by_ok))
    if not found:
        return {"columns": None, "ended": False}
    first, *more = found
    return {**first, "more": more} if more else first


def load_results(value: Value, *, ends_by_ok: bool = False) -> tuple[bytes, bool]:
    """The stream that `dump_results` saw, and whether it is whole.

    Args:
        ends_by_ok: the connection that reads it has agreed on CLIENT_DEPRECATE_EOF.

    Raises:
        DamagedBundle: it isn't what `dump_results` gives.
    """
    try:
        results = [value, *value.get("more", ())]
        bodies = [body for result in results for body in _bodies(result, ends_by_ok=ends_by_ok)]
        return joined(bodies), bool(results[-1]["ended"])
    except FluxRunError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DamagedBundle("a recorded SQL answer can't be read", why=f"{type(error).__name__}: {error}") from error


def _results(bodies: Iterator[bytes], *, ends_by_ok: bool) -> Iterator[dict[str, Value]]:
    for body in bodies:
        result = _result(body, bodies, ends_by_ok=ends_by_ok)
        yield result
        if not (result["ended"] and result.get("server_status", 0) & MORE_RESULTS):
            return


def _result(first: bytes, bodies: Iterator[bytes], *, ends_by_ok: bool) -> dict[str, Value]:
    """One result, whose first payload was read."""
    if first[0] == _OK:
        ok = Ok.of(first)
        told = {"rowcount": ok.affected, "insert_id": ok.insert_id, "message": _shown(ok.message)}
        return {"columns": None, **told, "server_status": ok.status, "warnings": ok.warnings, "ended": True}
    if first[0] in (_ERROR, LOCAL_INFILE):
        return {"columns": None, "error": _shown(first), "ended": True}
    fields = [Field.of(body) for _, body in zip(range(Cursor(first).integer()), bodies, strict=False)]
    result: dict[str, Value] = {
        "columns": [field.name.decode("utf-8", "replace") for field in fields],
        "fields": [_field(field) for field in fields],
        "rows": [],
        "ended": False,
    }
    if not ends_by_ok:
        next(bodies, None)  # the end of the fields
    result.update(_rows(fields, bodies, ends_by_ok=ends_by_ok))
    return result


def _rows(fields: list[Field], bodies: Iterator[bytes], *, ends_by_ok: bool) -> dict[str, Value]:
    readers = [_reader(field) for field in fields]
    rows: list[list[Any]] = []
    ending: dict[str, Value] = {"ended": False}
    for body in bodies:
        if body[0] == _END and len(body) < (_LONGEST_OK if ends_by_ok else _LONGEST_END):
            ok = Ok.of(body) if ends_by_ok else _end_of(body)
            ending = {"warnings": ok.warnings, "server_status": ok.status, "ended": True}
            break
        if body[0] == _ERROR:
            ending = {"error": _shown(body), "ended": True}
            break
        rows.append([read(data) for read, data in zip(readers, row_of(body), strict=True)])
    return {"rows": encode(rows), **ending}


def _end_of(body: bytes) -> Ok:
    cursor = Cursor(body, 1)
    warnings = cursor.fixed(2)
    return Ok(0, 0, cursor.fixed(2), warnings)


def _bodies(result: dict[str, Value], *, ends_by_ok: bool) -> Iterator[bytes]:
    """The payloads of a result, as far as it was read."""
    if result["columns"] is None:
        if "error" in result:
            yield _data(decode(result["error"]))
        elif "rowcount" in result:
            message = _data(decode(result["message"]))
            yield Ok(
                result["rowcount"], result["insert_id"], result["server_status"], result["warnings"], message
            ).body()
        return
    yield integer(len(result["fields"]))
    for name, field in zip(result["columns"], result["fields"], strict=True):
        yield _field_body(name, field)
    ending = Ok(0, 0, result.get("server_status", 0), result.get("warnings", 0))
    if not ends_by_ok:
        yield end_body(ending.status, ending.warnings)
    for row in decode(result["rows"]):
        yield row_body([None if column is None else _data(column) for column in row])
    if "error" in result:
        yield _data(decode(result["error"]))
    elif result["ended"]:
        yield ending.body(_END) if ends_by_ok else end_body(ending.status, ending.warnings)


def _field(field: Field) -> Value:
    names = {"database": field.database, "table": field.table, "of": field.org_table, "column": field.org_name}
    told: dict[str, Value] = {name: _shown(data) for name, data in names.items() if data}
    if field.catalog != b"def":
        told["catalog"] = _shown(field.catalog)
    if field.name.decode("utf-8", "replace").encode() != field.name:
        told["name"] = _shown(field.name)
    return {**told, "type": [field.charset, field.length, field.type, field.flags, field.decimals]}


def _field_body(name: str, value: dict[str, Value]) -> bytes:
    def part(key: str, default: bytes = b"") -> bytes:
        return _data(decode(value[key])) if key in value else default

    names = (part("catalog", b"def"), part("database"), part("table"), part("of"), part("name", name.encode()))
    return Field(*names, part("column"), *value["type"]).body()


# -- columns


def _shown(data: bytes) -> Value:
    return encode(_text(data))


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _data(column: Any) -> bytes:
    """The bytes that a kept column stands for."""
    if isinstance(column, bytes):
        return column
    return (column.isoformat(" ") if isinstance(column, datetime) else str(column)).encode()


def _reader(field: Field) -> Callable[[bytes | None], Any]:
    """What makes a column of its bytes."""
    kind = field.type
    if kind in _INTEGERS:
        return _as(int)
    if kind in _DECIMALS:
        return _as(Decimal)
    if kind in _DATES:
        return _as(date.fromisoformat)
    if kind in _INSTANTS:
        return _as(datetime.fromisoformat)
    return _as(None)


def _as(make: Callable[[str], Any] | None) -> Callable[[bytes | None], Any]:
    def read(data: bytes | None) -> Any:
        if data is None:
            return None
        if make is not None:
            try:
                made = make(data.decode("ascii"))
            except (ValueError, InvalidOperation):
                made = None
            if made is not None and _data(made) == data:
                return made
        return _text(data)

    return read
