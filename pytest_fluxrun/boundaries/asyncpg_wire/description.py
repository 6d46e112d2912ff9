"""What the server says of a statement when it is prepared: parameters, columns, and types that asyncpg has to look up.

Every run carries it for each statement that it uses, as a read: asyncpg prepares once a connection, or not at all.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pytest_fluxrun.boundaries.asyncpg_wire.messages import said
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.values import decode, encode

__all__ = ["Description", "key_of", "packed", "type_rows", "unpacked"]

_COUNT: Final = struct.Struct("!H")
_OID: Final = struct.Struct("!I")
_COLUMN: Final = struct.Struct("!IhIhih")
_REFERENCES: Final = ("basetype", "elemtype", "range_subtype")


@dataclass(frozen=True)
class Description:
    """A prepared statement.

    Attributes:
        parameters: object ids of their types.
        columns: names; empty where the statement gives no rows.
        types: object ids of the columns' types.
        own_types: rows of asyncpg's introspection for the types that it doesn't know, and for those they are made of.
    """

    parameters: tuple[int, ...]
    columns: tuple[str, ...]
    types: tuple[int, ...]
    own_types: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, state: Any, known: Mapping[int, Mapping[str, Any]]) -> Description:
        """Of a statement whose codecs are in place.

        Args:
            known: what was introspected on its connection, by object id.
        """
        attributes = state._get_attributes()  # noqa: SLF001 - what PreparedStatement.get_attributes asks
        parameters = tuple(kind.oid for kind in state._get_parameters() or ())  # noqa: SLF001
        types = tuple(attribute.type.oid for attribute in attributes)
        own = type_rows((*parameters, *types), known)
        return cls(parameters, tuple(attribute.name for attribute in attributes), types, own)

    @functools.cached_property
    def text(self) -> str:
        """As JSON: kept with every run, and made once."""
        plain = {"parameters": self.parameters, "columns": self.columns, "types": self.types}
        return packed({**plain, "own": self.own_types} if self.own_types else plain)

    @classmethod
    def load(cls, text: str) -> Description:
        """What `text` holds.

        Raises:
            DamagedBundle: it doesn't.
        """
        value = unpacked(text)
        try:
            own = tuple(value.get("own", ()))
            return cls(tuple(value["parameters"]), tuple(value["columns"]), tuple(value["types"]), own)
        except (AttributeError, LookupError, TypeError) as error:
            raise DamagedBundle("a recorded statement's description can't be read", why=repr(error)) from error

    def answer(self) -> bytes:
        """What a server says to Parse and Describe."""
        parameters = _COUNT.pack(len(self.parameters)) + b"".join(map(_OID.pack, self.parameters))
        if not self.columns:
            return said("1") + said("t", parameters) + said("n")
        columns = (
            name.encode() + b"\0" + _COLUMN.pack(0, 0, oid, -1, -1, 0)
            for name, oid in zip(self.columns, self.types, strict=True)
        )
        return said("1") + said("t", parameters) + said("T", _COUNT.pack(len(self.columns)) + b"".join(columns))


def packed(value: Any) -> str:
    """Plain values and bytes as one text: what is kept with every run is encoded once."""
    return orjson.dumps(encode(value)).decode()


def unpacked(text: str) -> Any:
    """What `packed` took.

    Raises:
        DamagedBundle: the text isn't such a one.
    """
    try:
        return decode(orjson.loads(text))
    except (ValueError, TypeError) as error:
        raise DamagedBundle("what is known of a database can't be read", why=repr(error)) from error


def key_of(query: str) -> str:
    """What a statement's description is kept by: its text may hold anything, names of secrets too."""
    return "statement " + hashlib.blake2b(query.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def type_rows(oids: Iterable[int], known: Mapping[int, Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The introspected rows of types and of what they are made of, those first, as asyncpg's codecs need them."""
    rows: dict[int, Mapping[str, Any]] = {}

    def add(oid: int) -> None:
        row = known.get(oid)
        if row is None or oid in rows:
            return
        rows[oid] = row
        for part in (*(row[name] for name in _REFERENCES), *(row["attrtypoids"] or ())):
            if part:
                add(part)
        rows[oid] = rows.pop(oid)

    for oid in oids:
        add(oid)
    return tuple(rows.values())
