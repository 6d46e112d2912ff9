"""What confluent-kafka's C classes hold, as plain data, and such objects again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["error_of", "error_plain", "message_of", "message_plain", "metadata_of", "metadata_plain"]

_cimpl: Any = import_module("confluent_kafka.cimpl")
_NAMES = ("topic", "partition", "offset", "key", "value", "headers", "timestamp", "latency")


def _makes_no_message() -> bool:
    try:
        _cimpl.Message()
    except TypeError:  # before 2.13
        return True
    return False


_MAKES_NONE = _makes_no_message()


class _Message:
    """What stands for a Message where its class lets nobody make one."""

    def __init__(self, **held: Any) -> None:
        for name, value in held.items():
            self._hold(name, value)

    def __len__(self) -> int:
        return len(self.value() or b"")  # type: ignore[attr-defined]  # each method is an attribute of its own

    def _hold(self, name: str, value: Any) -> None:
        setattr(self, name, functools.partial(_itself, value))

    def leader_epoch(self) -> None:
        """Of messages that were consumed."""

    def set_headers(self, value: Any) -> None:
        """See the driver's."""
        self._hold("headers", value)

    def set_key(self, value: Any) -> None:
        """See the driver's."""
        self._hold("key", value)

    def set_value(self, value: Any) -> None:
        """See the driver's."""
        self._hold("value", value)


_Message.__name__ = "Message"


def _itself(found: Any) -> Any:
    return found


def error_plain(error: Any) -> dict[str, Any] | None:
    """A KafkaError."""
    if error is None:
        return None
    return {
        "code": error.code(),
        "reason": error.str(),
        "fatal": bool(error.fatal()),
        "retriable": bool(error.retriable()),
        "txn_requires_abort": bool(error.txn_requires_abort()),
    }


def error_of(plain: Mapping[str, Any] | None) -> Any:
    """The same again."""
    if plain is None:
        return None
    said = {name: plain[name] for name in ("fatal", "retriable", "txn_requires_abort")}
    return _cimpl.KafkaError(plain["code"], plain["reason"], **said)


def message_plain(message: Any) -> dict[str, Any]:
    """A Message, as a delivery report tells of it."""
    plain = {name: getattr(message, name)() for name in _NAMES}
    return {**plain, "error": error_plain(message.error())}


def message_of(plain: Mapping[str, Any]) -> Any:
    """The same again."""
    if _MAKES_NONE:
        return _Message(**{name: plain[name] for name in _NAMES}, error=error_of(plain["error"]))
    given = {name: plain[name] for name in _NAMES if plain[name] is not None}
    return _cimpl.Message(**given, error=error_of(plain["error"]))


def metadata_plain(thing: Any) -> Any:
    """What `list_topics` gives: objects that hold names, numbers, errors and each other."""
    if isinstance(thing, dict):
        return {"~items": [[metadata_plain(key), metadata_plain(value)] for key, value in thing.items()]}
    if isinstance(thing, list):
        return [metadata_plain(item) for item in thing]
    if isinstance(thing, _cimpl.KafkaError):
        return {"~error": error_plain(thing)}
    if type(thing).__module__.startswith("confluent_kafka.admin"):
        return {"~object": type(thing).__name__, "fields": {k: metadata_plain(v) for k, v in vars(thing).items()}}
    return thing


def metadata_of(plain: Any) -> Any:
    """The same again."""
    if isinstance(plain, list):
        return [metadata_of(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "~items" in plain:
        return {metadata_of(key): metadata_of(value) for key, value in plain["~items"]}
    if "~error" in plain:
        return error_of(plain["~error"])
    known: Any = import_module("confluent_kafka.admin")
    kind = {name: getattr(known, name) for name in _METADATA}[plain["~object"]]
    made = kind.__new__(kind)
    vars(made).update({name: metadata_of(value) for name, value in plain["fields"].items()})
    return made


_METADATA = ("ClusterMetadata", "BrokerMetadata", "TopicMetadata", "PartitionMetadata", "GroupMetadata", "GroupMember")
