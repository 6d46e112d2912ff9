"""The plaintext index of a bundle: allow-listed fields and characters, nothing that a person typed.

A model, its one JSON form, and reading it off a bundle's first bytes. No keys, and nothing behind the index.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pytest_fluxrun.bundle.format import HEAD_BYTES, MAX_INDEX_BYTES, MAX_WRAPS, parse_head
from pytest_fluxrun.bundle.runid import RUN_ID_PATTERN
from pytest_fluxrun.errors import BundleTooLarge, DamagedBundle, TruncatedBundle, UnsupportedVersion
from pytest_fluxrun.trace import valid_ids

__all__ = ["INDEX_SCHEMA", "Index", "decode_index", "encode_index", "fit_index_field", "is_canonical", "read_index"]

INDEX_SCHEMA: Final = 1
_NAME: Final = r"A-Za-z0-9._\-"
_CHARACTERS: Final = {
    "project": (_NAME, 64),
    "entry": (_NAME + ":", 128),
    "route": (_NAME + r" /{}<>:*+~@$^()?\[\]|=,", 256),
    "error_type": (r"A-Za-z0-9._<>", 256),
    "fluxrun_version": (_NAME + "+!", 64),
    "python_version": (_NAME + "+", 32),
    "release": (_NAME + "+@/:", 128),
}
_FIRST_READ_BYTES: Final = 4096
_INT64: Final = 2**63 - 1
_SCHEMA_FIELD: Final = re.compile(rb'"schema":([0-9]{1,9})[,}]')


def _text(field: str, at_least: int = 0) -> StringConstraints:
    characters, longest = _CHARACTERS[field]
    return StringConstraints(pattern=rf"^[{characters}]{{{at_least},{longest}}}$")


_Count = Annotated[int, Field(ge=0, le=_INT64)]
_Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
_Reason = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._:-]{0,63}$")]
_KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


def _ids(trace: dict[str, str]) -> dict[str, str]:
    if valid_ids(trace) != trace:
        raise ValueError("an id is unknown, or has characters or a length that it may not have")
    return trace


class Index(BaseModel):
    """What anyone may know of a sealed run. Unauthenticated until the bundle's signature has been checked.

    Attributes:
        schema_version: schema of the index and of the payload; `schema` in the JSON.
        run_id: the run's id.
        project: the project's name.
        entry: name of the registered entry.
        route: method and route template, never a path as it was asked for; "" for functions.
        status: status of the response, or None.
        error_type: qualified name of the raised exception's class, or "".
        fingerprint: keyed fingerprint of the failure, 32 hex digits, or "".
        started_at_unix_ns: start of the run.
        duration_us: how long it ran.
        counts: interactions per kind.
        fluxrun_version: version of FluxRun that recorded it.
        python_version: version of Python that ran it.
        release: the application's release, or "".
        recipients: ids of the keys that open the bundle, in the order of its wraps; `seal` fills them in.
        sequence: how many bundles the producer's process had sealed before.
        readiness: whether anything known stands in the way of a replay.
        reasons: one code for each thing in the way.
        trace: ids that what invoked the run carried, by the names of `TRACE_FIELDS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True, defer_build=True)

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=INDEX_SCHEMA)] = INDEX_SCHEMA
    run_id: Annotated[str, StringConstraints(pattern=f"^{RUN_ID_PATTERN}$")]
    project: Annotated[str, _text("project", 1)]
    entry: Annotated[str, _text("entry", 1)]
    route: Annotated[str, _text("route")] = ""
    status: Annotated[int, Field(ge=100, le=999)] | None = None
    error_type: Annotated[str, _text("error_type")] = ""
    fingerprint: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""
    started_at_unix_ns: _Count
    duration_us: _Count
    counts: Annotated[dict[_Kind, _Count], Field(max_length=64)] = Field(default_factory=dict)
    fluxrun_version: Annotated[str, _text("fluxrun_version")]
    python_version: Annotated[str, _text("python_version")]
    release: Annotated[str, _text("release")] = ""
    recipients: Annotated[tuple[_KeyId, ...], Field(max_length=MAX_WRAPS)] = ()
    sequence: _Count = 0
    readiness: Literal["recorded", "unready"] = "recorded"
    reasons: Annotated[tuple[_Reason, ...], Field(max_length=32)] = ()
    trace: Annotated[dict[str, str], AfterValidator(_ids)] = Field(default_factory=dict)


def fit_index_field(field: str, text: str) -> str:
    """Return `text` as that text field of the index can hold it: other characters become `_`, the rest is cut off.

    Args:
        field: project, entry, route, error_type, fluxrun_version, python_version or release.
        text: any text, such as the name of an exception's class.
    """
    characters, longest = _CHARACTERS[field]
    return re.sub(f"[^{characters}]", "_", text[:longest])


def encode_index(index: Index, recipients: Sequence[str]) -> bytes:
    """Return the canonical JSON of an index that names these recipients (ids as 32 hex digits).

    Raises:
        BundleTooLarge: it is over 64 KiB.
    """
    fields = index.model_dump(by_alias=True)
    fields["recipients"] = list(recipients)
    if not index.trace:
        del fields["trace"]  # what a reader that is older than the member refuses
    encoded = _canonical(fields)
    if len(encoded) > MAX_INDEX_BYTES:
        what = f"the index of run {index.run_id} has {len(encoded)} bytes"
        raise BundleTooLarge(what, why=f"the format allows {MAX_INDEX_BYTES}")
    return encoded


def decode_index(encoded: bytes, *, source: str = "the bundle") -> Index:
    """Return the index that these bytes hold.

    Raises:
        UnsupportedVersion: its schema is newer than this FluxRun reads.
        DamagedBundle: a field is missing, unknown, or holds what it may not.
    """
    try:
        return Index.model_validate_json(encoded)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    newer = _SCHEMA_FIELD.search(encoded)
    if newer and int(newer[1]) > INDEX_SCHEMA:
        raise UnsupportedVersion(
            f"{source} has schema {int(newer[1])}",
            why=f"this FluxRun reads schemas up to {INDEX_SCHEMA}",
            next_step="upgrade with `pip install --upgrade pytest-fluxrun`",
        )
    place = ".".join(str(part) for part in first["loc"]) or "the top"
    raise DamagedBundle(
        f"{source} has an index that can't be used",
        why=f"at {fit_index_field('release', place)}: {first['type'].replace('_', ' ')}",
        next_step="fetch it again with `fluxrun pull`, or delete the file",
    )


def read_index(bundle: bytes | str | os.PathLike[str]) -> Index:
    """Return the index of a bundle, unauthenticated, from its first bytes alone.

    Args:
        bundle: the bundle's bytes, or the path of its file, of which only the head is read.

    Raises:
        BundleError: there is no such file, it can't be read, or its head is no index.
    """
    if isinstance(bundle, bytes):
        return _index_at_head(bundle, bundle, "the bundle")
    source = os.fspath(bundle)
    try:
        descriptor = os.open(bundle, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            return _index_at_head(os.read(descriptor, _FIRST_READ_BYTES), descriptor, source)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DamagedBundle(
            f"{source} can't be read",
            why=error.strerror or type(error).__name__,
            next_step="check the path and its permissions, or fetch it with `fluxrun pull`",
        ) from error


def _index_at_head(head: bytes, rest: bytes | int, source: str) -> Index:
    """Return the index; `rest` is where a head that is too short goes on: nowhere, or at a descriptor."""
    index_bytes, _ = parse_head(head[:HEAD_BYTES], source=source)
    end = HEAD_BYTES + index_bytes
    while len(head) < end:
        more = os.read(rest, end - len(head)) if isinstance(rest, int) else b""
        if not more:
            raise TruncatedBundle(
                f"{source} is cut off",
                why=f"it has {len(head)} bytes of at least {end}",
                next_step="fetch it again with `fluxrun pull`",
            )
        head += more
    return decode_index(head[HEAD_BYTES:end], source=source)


def is_canonical(index: Index, encoded: bytes) -> bool:
    """Return whether `encoded`, from which `index` was read, is the one JSON form that the format allows."""
    return _canonical(index.model_dump(by_alias=True, exclude_unset=True)) == encoded


def _canonical(fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
