"""Sealed runs: bytes in, bytes out. The only package that imports cryptography, and it does so when a name needs it.

Reading an index needs none: `from pytest_fluxrun.bundle import read_index` stays cheap, for collection's sake.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_fluxrun.bundle.envelope import open_bundle, seal, verify
    from pytest_fluxrun.bundle.format import MAX_FILE_BYTES, MAX_PAYLOAD_BYTES
    from pytest_fluxrun.bundle.index import Index, fit_index_field, read_index
    from pytest_fluxrun.bundle.keyfile import PROJECT_KEY_VARIABLE, load_project_keys, write_project_key
    from pytest_fluxrun.bundle.keys import Algorithm, ProjectKey, PublicKey, Token, short_id
    from pytest_fluxrun.bundle.runid import RUN_ID_PATTERN, is_run_id, new_run_id, run_id_time_ns
    from pytest_fluxrun.bundle.trust import TRUST_FILE_NAME, Producer, Recipient, Trust, read_trust, write_trust

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PAYLOAD_BYTES",
    "PROJECT_KEY_VARIABLE",
    "RUN_ID_PATTERN",
    "TRUST_FILE_NAME",
    "Algorithm",
    "Index",
    "Producer",
    "ProjectKey",
    "PublicKey",
    "Recipient",
    "Token",
    "Trust",
    "fit_index_field",
    "is_run_id",
    "load_project_keys",
    "new_run_id",
    "open_bundle",
    "read_index",
    "read_trust",
    "run_id_time_ns",
    "seal",
    "short_id",
    "verify",
    "write_project_key",
    "write_trust",
]

_HOMES: Final = {
    "envelope": ("open_bundle", "seal", "verify"),
    "format": ("MAX_FILE_BYTES", "MAX_PAYLOAD_BYTES"),
    "index": ("Index", "fit_index_field", "read_index"),
    "keyfile": ("PROJECT_KEY_VARIABLE", "load_project_keys", "write_project_key"),
    "keys": ("Algorithm", "ProjectKey", "PublicKey", "Token", "short_id"),
    "runid": ("RUN_ID_PATTERN", "is_run_id", "new_run_id", "run_id_time_ns"),
    "trust": ("TRUST_FILE_NAME", "Producer", "Recipient", "Trust", "read_trust", "write_trust"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import the module that holds a public name when it is first asked for (PEP 562)."""
    home = _HOME_OF.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
