"""The public names, loaded on first use (PEP 562). Importing this package imports nothing else.

`import pytest_fluxrun as fluxrun`, then `fluxrun.init(...)`, `fluxrun.instrument(app)`, `@fluxrun.capture(name)`,
`fluxrun.host(name, object)`, `fluxrun.keep()`, `fluxrun.flush(...)`, `fluxrun.recording_status()`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_fluxrun.boundaries.host import host
    from pytest_fluxrun.entries.function import capture
    from pytest_fluxrun.errors import FluxRunError, LeakedCall, UnrecordedCall
    from pytest_fluxrun.recording.service import flush, init, keep, recording_status
    from pytest_fluxrun.registry import instrument

__all__ = [
    "FluxRunError",
    "LeakedCall",
    "UnrecordedCall",
    "__version__",
    "capture",
    "flush",
    "host",
    "init",
    "instrument",
    "keep",
    "recording_status",
]

__version__ = "0.1.0"

_HOMES = {
    "FluxRunError": "pytest_fluxrun.errors",
    "LeakedCall": "pytest_fluxrun.errors",
    "UnrecordedCall": "pytest_fluxrun.errors",
    "capture": "pytest_fluxrun.entries.function",
    "flush": "pytest_fluxrun.recording.service",
    "host": "pytest_fluxrun.boundaries.host",
    "init": "pytest_fluxrun.recording.service",
    "instrument": "pytest_fluxrun.registry",
    "keep": "pytest_fluxrun.recording.service",
    "recording_status": "pytest_fluxrun.recording.service",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
