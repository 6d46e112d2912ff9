"""The supplement of a guard: reads that fixed code makes and the run lacks, sealed beside it. Reading and writing it.

A supplement is a bundle of its own, for the same keys, signed by who made it; its body is
`{"schema": 1, "run": id, "environment": name, "interactions": [...]}`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from pytest_fluxrun import __version__, bundle
from pytest_fluxrun.errors import DamagedBundle, UnsupportedVersion
from pytest_fluxrun.run import Interaction, Run

if TYPE_CHECKING:
    from pytest_fluxrun.bundle import ProjectKey, PublicKey, Token, Trust

__all__ = ["SUPPLEMENT_SUFFIX", "Supplement", "open_supplement", "seal_supplement"]

SUPPLEMENT_SUFFIX: Final = ".supplement"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Supplement:
    """Answers to reads of one run.

    Args:
        run: the run's id.
        environment: the environment that was asked, as the setting `live` names it.
    """

    run: str
    environment: str
    interactions: tuple[Interaction, ...]
    schema: int = _SCHEMA


def seal_supplement(
    run: Run, environment: str, interactions: Sequence[Interaction], *, recipients: Sequence[PublicKey], signer: Token
) -> bytes:
    """The supplement's file."""
    body = orjson.dumps(Supplement(run.id, environment, tuple(interactions)))
    index = bundle.Index(
        run_id=run.id,
        project=bundle.fit_index_field("project", run.project),
        entry=bundle.fit_index_field("entry", run.entry),
        started_at_unix_ns=run.recording.wall_ns,
        duration_us=0,
        fluxrun_version=__version__,
        python_version="",
    )
    return bundle.seal(body, index, recipients=recipients, signer=signer)


def open_supplement(data: bytes, run: str, *, keys: Sequence[ProjectKey], trust: Trust, source: str) -> Supplement:
    """Check, decrypt and read a supplement.

    Raises:
        BundleError: it is refused, isn't a supplement, or belongs to another run.
        UnsupportedVersion: it was written by a newer FluxRun.
    """
    _, body = bundle.open_bundle(data, keys=keys, trust=trust, source=source)
    try:
        document = orjson.loads(body)
        if isinstance(document, dict) and isinstance(document.get("schema"), int) and document["schema"] > _SCHEMA:
            raise UnsupportedVersion(
                f"{source} has schema {document['schema']}",
                why=f"this FluxRun reads schemas up to {_SCHEMA}",
                next_step="upgrade pytest-fluxrun here: `pip install -U pytest-fluxrun`",
            )
        supplement = _adapter().validate_python(document)
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise DamagedBundle(f"{source} isn't a supplement", why=str(error).partition("\n")[0]) from error
    if supplement.run != run:
        raise DamagedBundle(
            f"{source} belongs to another run",
            why=f"it says {supplement.run}, the run is {run}",
            next_step=f"make it anew: `fluxrun extend {run[:10]} --live NAME`",
        )
    return supplement


@functools.cache
def _adapter() -> TypeAdapter[Supplement]:
    return TypeAdapter(Supplement)
