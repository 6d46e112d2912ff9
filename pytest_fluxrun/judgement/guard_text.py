"""The text of a guard file that a person has written in, changed to say something else; comments and order stay.

Pure. tomlkit is loaded where such a text is changed, which takes 30 ms and more; most texts have no hand in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

__all__ = ["changed_text"]


def changed_text(text: str, wanted: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """TOML that says what is wanted, with as much of the text as says it already.

    Args:
        text: TOML.
        wanted: what the new text is to hold, without what is as by default.
        defaults: what a key is worth where it is absent, at each level; a key that says so already may stay.
    """
    import tomlkit

    document: TOMLDocument = tomlkit.parse(text)
    _change(document, wanted, defaults)
    return f"{tomlkit.dumps(document).rstrip()}\n"


def _change(table: Any, wanted: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Change a table, and the tables in it, in place."""
    for key in list(table):
        if key not in wanted and not _same(table[key], defaults.get(key)):
            _remove(table, key)
    for key, value in wanted.items():
        there = table.get(key)
        if there is None:
            _add(table, key, value)
        elif _same(there, value):
            continue
        elif isinstance(value, Mapping) and isinstance(there, Mapping):
            _change(there, value, defaults.get(key) or {})
        elif not (isinstance(value, list | tuple) and isinstance(there, list) and _changed_list(there, value)):
            table[key] = _item(key, value, inline=_is_inline(table))


def _remove(table: Any, key: str) -> None:
    """Without a key; what is written below a table, above the header that follows it, belongs to that."""
    import tomlkit
    from tomlkit.items import Table

    last = table[key][-1] if _is_tables(table[key]) else table[key]
    left = _below(last) if isinstance(last, Table) else []
    place = next((at for at, (name, _) in enumerate(table.body) if name == key), None) if left else None
    del table[key]
    if place is not None:
        table.body[place] = (None, tomlkit.ws("".join(item.as_string() for _, item in left)))


def _add(table: Any, key: str, value: Any) -> None:
    """With a key more: at the end, but above comments that belong to the next header."""
    from tomlkit.items import Table

    left = _below(table) if isinstance(table, Table) else []
    table[key] = _item(key, value, inline=_is_inline(table))
    if left:
        table.value.body.extend(left)


def _below(table: Any) -> list[Any]:
    """Takes out of a table what stands in it below its last key and the comments right there."""
    body = table.value.body
    last = max((at for at, (name, _) in enumerate(body) if name is not None), default=-1)
    blank = next((at for at in range(last + 1, len(body)) if not body[at][1].as_string().strip()), len(body))
    left = body[blank:]
    del body[blank:]
    return list(left)


def _changed_list(there: Any, wanted: Any) -> bool:
    """Take items out of a list and add others at its end; False: that doesn't make the wanted one of it."""
    import tomlkit

    kept = [item for item in _plain(there) if any(_same(item, one) for one in wanted)]
    if not kept or not all(_same(one, other) for one, other in zip(kept, wanted, strict=False)):
        return False
    for index in reversed(range(len(there))):
        if not any(_same(there[index], one) for one in wanted):
            del there[index]
    for value in wanted[len(kept) :]:
        if _is_tables(there):
            left = _below(there[-1])
            there[-1].add(tomlkit.nl())
            there.append(_item("", value, inline=False))
            there[-1].value.body.extend(left)
        else:
            there.append(_item("", value, inline=True))
    return True


def _item(key: str, value: Any, *, inline: bool) -> Any:
    """A new value as a guard has it: tables only at the top level, below it inline ones."""
    import tomlkit

    if isinstance(value, Mapping):
        made: Any = tomlkit.inline_table() if inline or key not in ("", *_TABLES) else tomlkit.table()
        for name, item in value.items():
            made.append(name, _item("", item, inline=True))
        return made
    if isinstance(value, list | tuple):
        if value and key in _TABLES and all(isinstance(item, Mapping) for item in value):
            several = tomlkit.aot()
            for item in value:
                several.append(_item("", item, inline=False))
            return several
        array = tomlkit.array()
        for item in value:
            array.append(_item("", item, inline=True))
        return array
    return tomlkit.item(value)


_TABLES = ("fix", "ignore", "drift", "answers", "calls")


def _is_inline(table: Any) -> bool:
    from tomlkit.items import InlineTable

    return isinstance(table, InlineTable)


def _is_tables(there: Any) -> bool:
    from tomlkit.items import AoT

    return isinstance(there, AoT)


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value


def _same(one: Any, other: Any) -> bool:
    """Whether two values are written the same: 1, 1.0 and true aren't."""
    return repr(_listed(_plain(one))) == repr(_listed(_plain(other)))


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _listed(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return value
