"""A finished run to a stored bundle: index, seal, put. Runs on the writer's thread.

Holds the token and the public keys; knows nothing of sessions or keep rules.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_fluxrun import __version__
from pytest_fluxrun.bundle import (
    Index,
    PublicKey,
    Token,
    fit_index_field,
    new_run_id,
    read_trust,
    seal,
)
from pytest_fluxrun.config import Settings
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.errors import KeyFileError
from pytest_fluxrun.recording.dumping import Preamble, dump_run, over_bound
from pytest_fluxrun.recording.earlier import EarlierReads
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.recording.secret_search import secrets_by_look
from pytest_fluxrun.run import Orphan, Run
from pytest_fluxrun.store import Store, open_store
from pytest_fluxrun.trace import valid_ids

__all__ = ["Sealer", "bundle_name", "sealer_for"]

_log = logging.getLogger("pytest_fluxrun")


def bundle_name(entry: str, run_id: str) -> str:
    """The name under which a store keeps a run: `<entry>-<run id>`, the entry's odd characters as `_`."""
    safe = "".join(character if character.isalnum() or character in "._-" else "_" for character in entry)
    return f"{safe[:160]}-{run_id}"


class Sealer:
    """Seals runs to a project's public keys and puts them into its store.

    Attributes:
        stored: how many bundles this process has stored.
    """

    def __init__(
        self, settings: Settings, *, recipients: Sequence[PublicKey], token: Token | None, store: Store | None
    ) -> None:
        Index.model_rebuild()  # built here, at start-up, not for the first run while requests are served
        self.settings = settings
        self.stored = 0
        self._recipients = recipients
        self._token = token
        self._store = store
        self._sequence = 0
        self._fingerprint_key = secrets.token_bytes(32) if token is None else token.producer_id

    def store(
        self,
        recorder: Recorder,
        ending: Ending,
        preamble: Preamble,
        reason: str,
        *,
        earlier: EarlierReads | None = None,
        orphans: tuple[Orphan, ...] = (),
    ) -> None:
        """Dump, redact, seal and store one run; or, in a dry run, print what would be stored.

        Raises:
            FluxRunError: the run was not stored, and why.
        """
        run = dump_run(recorder, ending, preamble, self.settings, new_run_id(), earlier=earlier, orphans=orphans)
        payload = run.to_payload()
        if len(payload) > self.settings.max_run_bytes and run.earlier is not None:
            run = replace(run, earlier=None)
            payload = run.to_payload()
        if len(payload) > self.settings.max_run_bytes:
            run = over_bound(run)
            payload = run.to_payload()
        index = self._index(run, ending, payload)
        if self.settings.dry_run or self._token is None or self._store is None:
            _announce(run, reason, len(payload))
            return
        bundle = seal(payload, index, recipients=self._recipients, signer=self._token)
        self._store.put(bundle_name(run.entry, run.id), bundle)
        self.stored += 1

    def _index(self, run: Run, ending: Ending, payload: bytes) -> Index:
        error = ending.error
        error_type = "" if error is None else f"{type(error).__module__}.{type(error).__qualname__}"
        sequence, self._sequence = self._sequence, self._sequence + 1
        return Index(
            run_id=run.id,
            project=fit_index_field("project", run.project),
            entry=fit_index_field("entry", run.entry),
            route=fit_index_field("route", ending.route),
            status=ending.status,
            error_type=fit_index_field("error_type", error_type),
            fingerprint=self._fingerprint(run.entry, ending, error_type),
            started_at_unix_ns=run.recording.wall_ns,
            duration_us=run.recording.duration_ns // 1000,
            counts=dict(Counter(interaction.kind for interaction in run.recording.interactions)),
            fluxrun_version=__version__,
            python_version=fit_index_field("python_version", sys.version.split()[0]),
            release=fit_index_field("release", run.versions.get("release", "")),
            sequence=sequence,
            readiness="unready" if run.readiness.reasons else "recorded",
            reasons=tuple(reason.lower()[:64] for reason in run.readiness.reasons[:32]),
            trace=self._trace(ending, payload),
        )

    @staticmethod
    def _trace(ending: Ending, payload: bytes) -> dict[str, str]:
        """The ids to index: none that is a secret elsewhere in the run, which redaction took out, or looks like one."""
        ids = valid_ids(ending.trace())
        given = {"request_id", "correlation_id", "task_id"}
        return {
            field: value
            for field, value in ids.items()
            if field not in given or (value.encode() in payload and not list(secrets_by_look(value)))
        }

    def _fingerprint(self, entry: str, ending: Ending, error_type: str) -> str:
        """One failure, one fingerprint: the entry, the error's type and where it was raised, keyed by the producer."""
        if ending.error is None and not ending.status:
            return ""
        places = []
        trace = None if ending.error is None else ending.error.__traceback__
        while trace is not None:
            places.append(trace.tb_frame.f_code.co_qualname)
            trace = trace.tb_next
        material = "\0".join([entry, ending.route, str(ending.status), error_type, *places[-3:]])
        return hmac.new(self._fingerprint_key, material.encode(), hashlib.sha256).hexdigest()[:32]


def sealer_for(settings: Settings) -> Sealer | None:
    """What seals and stores, or None where something needed for it is missing, which is said once in the log.

    Raises:
        KeyFileError: the token, the public key or the trust file is there and can't be used.
        SettingsError: the store's location can't be understood.
    """
    if settings.dry_run:
        return Sealer(settings, recipients=(), token=None, store=None)
    token_text = "" if settings.token is None else settings.token.get_secret_value()
    if not token_text:
        _log.warning(
            "FluxRun records nothing: there is no token to sign runs with. Set FLUXRUN_TOKEN to what `fluxrun init` "
            "printed, or FLUXRUN_DISABLED=1 to be silent."
        )
        return None
    recipients = _recipients(settings)
    store = open_store(settings.store or "runs")
    return Sealer(settings, recipients=recipients, token=Token.parse(token_text, source="FLUXRUN_TOKEN"), store=store)


def _recipients(settings: Settings) -> tuple[PublicKey, ...]:
    if settings.public_key:
        return (PublicKey.parse(settings.public_key, source="the setting public_key"),)
    trust_file = Path(settings.trust_file)
    if not trust_file.exists():
        raise KeyFileError(
            "there is no public key to seal runs to",
            why=f"neither FLUXRUN_PUBLIC_KEY is set nor is there a trust file {str(trust_file)!r}",
            next_step="run `fluxrun init`, or deploy the trust file with the application",
        )
    return read_trust(trust_file).public_keys


def _announce(run: Run, reason: str, size_bytes: int) -> None:
    calls = len(run.recording.interactions)
    sys.stderr.write(
        f"fluxrun: dry run: would keep {run.entry} {run.id} ({reason}), {calls} calls, {size_bytes} bytes before "
        f"sealing, {run.readiness.state}{': ' + ', '.join(run.readiness.reasons) if run.readiness.reasons else ''}\n"
    )
