"""Python values as tagged JSON, and back: a closed set of types, never pickle, never a class name to import. No I/O.

`tagged` and `scalars` hold the format, `typed` the objects that live annotations rebuild, `raised` the errors, `copies`
the snapshots.
"""

from __future__ import annotations

from pytest_fluxrun.values.copies import is_large, snapshot
from pytest_fluxrun.values.raised import dump_error, load_error
from pytest_fluxrun.values.tagged import Value, decode, encode, encode_or_opaque, has_opaque, opaque_names, plain

__all__ = [
    "Value",
    "decode",
    "dump_error",
    "encode",
    "encode_or_opaque",
    "has_opaque",
    "is_large",
    "load_error",
    "opaque_names",
    "plain",
    "snapshot",
]
