"""The committed trust file `fluxrun-trust.toml`: to which keys runs are sealed, and whose signatures are believed.

It holds public halves only. Reading checks all of it; writing is atomic and gives one form for one content.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pytest_fluxrun.bundle.base32 import decode_text, encode_text
from pytest_fluxrun.bundle.keys import PublicKey, Token, short_id
from pytest_fluxrun.errors import KeyFileError

__all__ = ["TRUST_FILE_NAME", "Producer", "Recipient", "Trust", "read_trust", "write_trust"]

TRUST_FILE_NAME: Final = "fluxrun-trust.toml"
_VERIFY_PREFIX: Final = "fluxrun-verify-"
_NOTE: Final = r"^[^\x00-\x1f\x7f]{0,200}$"
_HEADER: Final = """\
# To which keys the runs of this project are sealed, and whose signatures are believed.
# Public halves only: commit this file, and review a change to it as you review code.
"""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A public key to which the project's runs are sealed, and whose it is."""

    key: PublicKey
    note: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Producer:
    """The public half of a token.

    Attributes:
        producer_id: 16 bytes.
        verifying_key: 32 bytes, Ed25519.
        note: whose it is, at most 200 characters in one line.
        revoked: nothing that it signed is believed any more.
    """

    producer_id: bytes
    verifying_key: bytes
    note: str = ""
    revoked: bool = False
    _native: Ed25519PublicKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Load the key once."""
        object.__setattr__(self, "_native", Ed25519PublicKey.from_public_bytes(self.verifying_key))

    def __repr__(self) -> str:
        """Return the short id and what the trust file says of it."""
        return f"Producer({short_id(self.producer_id)}, note={self.note!r}, revoked={self.revoked})"

    @classmethod
    def of(cls, token: Token, *, note: str = "") -> Producer:
        """Return the public half of a token."""
        return cls(token.producer_id, token.verifying_key, note)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether this producer made `signature` for `message`."""
        try:
            self._native.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Trust:
    """What the trust file says. Each method that changes something returns another Trust."""

    project: str
    recipients: tuple[Recipient, ...] = ()
    producers: tuple[Producer, ...] = ()
    _by_id: dict[bytes, Producer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the producers by id."""
        object.__setattr__(self, "_by_id", {producer.producer_id: producer for producer in self.producers})

    @property
    def public_keys(self) -> tuple[PublicKey, ...]:
        """The keys to seal to, in the file's order."""
        return tuple(recipient.key for recipient in self.recipients)

    def producer(self, producer_id: bytes) -> Producer | None:
        """Return the producer of that id, revoked or not, or None."""
        return self._by_id.get(producer_id)

    def with_recipient(self, recipient: Recipient) -> Trust:
        """Return this trust with a recipient added, or its note changed."""
        others = tuple(other for other in self.recipients if other.key != recipient.key)
        return replace(self, recipients=(*others, recipient))

    def with_producer(self, producer: Producer) -> Trust:
        """Return this trust with a producer added, or replaced where its id is known; so one is revoked too."""
        others = tuple(other for other in self.producers if other.producer_id != producer.producer_id)
        return replace(self, producers=(*others, producer))


class _RecipientTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    key: str
    note: Annotated[str, StringConstraints(pattern=_NOTE)] = ""


class _ProducerTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    id: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
    key: str
    note: Annotated[str, StringConstraints(pattern=_NOTE)] = ""
    revoked: bool = False


class _TrustTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    version: Literal[1]
    project: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9._-]{1,64}$")]
    recipient: Annotated[list[_RecipientTable], Field(max_length=16)] = []
    producer: Annotated[list[_ProducerTable], Field(max_length=1024)] = []


def read_trust(path: Path) -> Trust:
    """Return what a trust file says.

    Raises:
        KeyFileError: there is none, it isn't TOML, or it says something that a trust file can't say.
    """
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        step = "run `fluxrun init` in the project, or pull the commit that holds the file"
        raise KeyFileError(f"there is no trust file {str(path)!r}", next_step=step) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError, KeyFileError) as error:
        step = "restore it from version control, or make it anew with `fluxrun init`"
        raise KeyFileError(f"the trust file {str(path)!r} can't be used", why=_problem(error), next_step=step) from None


def write_trust(path: Path, trust: Trust) -> None:
    """Write a trust file, replacing the one that is there in one step.

    Raises:
        KeyFileError: it can't be written, or couldn't be read again; what was there is left as it was.
    """
    text = _render(trust)
    try:
        _parse(text)
    except (ValueError, KeyFileError) as error:
        raise KeyFileError(f"the trust file {str(path)!r} was not written", why=_problem(error)) from None
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        why = error.strerror or type(error).__name__
        raise KeyFileError(f"the trust file {str(path)!r} was not written", why=why) from error


def _parse(text: str) -> Trust:
    table = _TrustTable.model_validate(tomllib.loads(text))
    recipients = tuple(_recipient(entry) for entry in table.recipient)
    producers = tuple(_producer(entry) for entry in table.producer)
    _refuse_twice("recipient", (recipient.key.key_id for recipient in recipients))
    _refuse_twice("producer", (producer.producer_id for producer in producers))
    return Trust(table.project, recipients, producers)


def _render(trust: Trust) -> str:
    blocks = [f'{_HEADER}version = 1\nproject = "{_escaped(trust.project)}"\n']
    blocks += (f'[[recipient]]\n{_note_line(entry.note)}key = "{entry.key.to_text()}"\n' for entry in trust.recipients)
    blocks += (_producer_block(producer) for producer in trust.producers)
    return "\n".join(blocks)


def _recipient(table: _RecipientTable) -> Recipient:
    return Recipient(PublicKey.parse(table.key, source=f"the recipient {table.note!r}"), table.note)


def _producer(table: _ProducerTable) -> Producer:
    key, problem = decode_text(_VERIFY_PREFIX, table.key)
    if not problem and len(key) != 32:
        problem = f"it has {len(key)} bytes, not 32"
    if problem:
        raise KeyFileError(f"the key of producer {table.id} can't be used", why=problem)
    return Producer(bytes.fromhex(table.id), key, table.note, table.revoked)


def _refuse_twice(name: str, ids: Iterable[bytes]) -> None:
    seen: set[bytes] = set()
    for one in ids:
        if one in seen:
            raise KeyFileError(f"the {name} {one.hex()} is in it twice", why="each may be once")
        seen.add(one)


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"at {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(error, KeyFileError):
        return f"{error.what}, {error.why}"
    return str(error)


def _producer_block(producer: Producer) -> str:
    key = encode_text(_VERIFY_PREFIX, producer.verifying_key)
    revoked = "revoked = true\n" if producer.revoked else ""
    return (
        f'[[producer]]\n{_note_line(producer.note)}id = "{producer.producer_id.hex()}"\n' + f'key = "{key}"\n{revoked}'
    )


def _note_line(note: str) -> str:
    return f'note = "{_escaped(note)}"\n' if note else ""


def _escaped(text: str) -> str:
    return re.sub(r'[\x00-\x1f\x7f"\\]', lambda match: f"\\u{ord(match[0]):04x}", text)
