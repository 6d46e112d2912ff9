"""The one exception tree. Each error says what happened, why, and what to do next; attributes carry what it shows.

No I/O and no import of anything else in the package. Messages show values by repr and never a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AccessDenied",
    "BadSignature",
    "BundleError",
    "BundleTooLarge",
    "DamagedBundle",
    "DeadlineExceeded",
    "EntryNotFound",
    "FluxRunError",
    "GuardError",
    "KeyFileError",
    "LeakedCall",
    "NoMatchingKey",
    "NotABundle",
    "OpaqueValue",
    "RecordedError",
    "RedactionFailed",
    "RunNotFound",
    "RunNotReady",
    "SettingsError",
    "StoreError",
    "StoreUnreachable",
    "TruncatedBundle",
    "UnrecordedCall",
    "UnsupportedVersion",
    "UntrustedProducer",
    "ValueNotEncodable",
]


class FluxRunError(Exception):
    """Base of every error that FluxRun raises.

    Args:
        what: one clause that names the thing and what happened to it.
        why: the reason, one sentence.
        next_step: what the reader should do, usually a command.
    """

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        lines = [what if not why else f"{what}: {why}"]
        if next_step:
            lines.append(f"  next:    {next_step}")
        super().__init__("\n".join(lines))


class SettingsError(FluxRunError):
    """A setting is unknown, misspelt, or has a value that can't be used."""


class KeyFileError(FluxRunError):
    """A key, token or trust file is missing, unreadable, or not what it should be."""


class GuardError(FluxRunError):
    """A guard file can't be read or contradicts itself."""


# -- values ----------------------------------------------------------------------------------------------------------


class ValueNotEncodable(FluxRunError):
    """A value is outside the closed set that a bundle can hold."""


class OpaqueValue(FluxRunError):
    """A recorded value was not encodable, so replay can't give it back."""


class RecordedError(Exception):
    """Stands for a recorded error whose class isn't loaded where the run is replayed, so that `except` may miss it.

    Attributes:
        type_name: the recorded class, as `module:qualname`.
        message: what the error said.
    """

    def __init__(self, type_name: str, message: str) -> None:
        self.type_name = type_name
        self.message = message
        super().__init__(f"{type_name}: {message}")


class RedactionFailed(FluxRunError):
    """A run's secrets couldn't be replaced in time; its payload must be dropped."""


# -- bundles ---------------------------------------------------------------------------------------------------------


class BundleError(FluxRunError):
    """A bundle can't be opened. `reason` is the stable code that readiness and reports show."""

    reason = "damaged"


class NotABundle(BundleError):
    """The bytes don't begin with the FXR1 magic."""

    reason = "not-a-bundle"


class UnsupportedVersion(BundleError):
    """The bundle's format or schema version is newer than this FluxRun reads."""

    reason = "unsupported-version"


class TruncatedBundle(BundleError):
    """The bundle ends before its declared length."""

    reason = "truncated"


class DamagedBundle(BundleError):
    """A digest, tag, length or structure is wrong."""

    reason = "damaged"


class BundleTooLarge(BundleError):
    """A declared or actual size is over a limit of the format."""

    reason = "over-limit"


class UntrustedProducer(BundleError):
    """The signing producer isn't in the project's trust file."""

    reason = "untrusted"


class BadSignature(BundleError):
    """The signature doesn't belong to the bundle's bytes."""

    reason = "bad-signature"


class NoMatchingKey(BundleError):
    """None of the keys at hand opens the bundle: it is locked here."""

    reason = "locked"


# -- stores ----------------------------------------------------------------------------------------------------------


class StoreError(FluxRunError):
    """A store refused or failed an operation."""


class RunNotFound(StoreError):
    """The store doesn't hold that run."""


class AccessDenied(StoreError):
    """The store answered, and said no."""


class StoreUnreachable(StoreError):
    """The store didn't answer."""


# -- replay ----------------------------------------------------------------------------------------------------------


class EntryNotFound(FluxRunError):
    """A bundle names an entry that the project's modules don't register."""


class RunNotReady(FluxRunError):
    """The run can't be replayed faithfully. `reasons` holds one code for each thing in the way."""

    def __init__(self, what: str, *, reasons: Sequence[str] = (), why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.reasons = tuple(reasons)


class UnrecordedCall(FluxRunError):
    """The program asked for something that the run doesn't hold.

    An `Exception`, so that hosts can clean up; latched by the replayer, so that swallowing it changes nothing.

    Attributes:
        asked: the call, as one line.
        nearest: the nearest recorded call, as one line, or "".
        differs: paths at which the two differ, at most eight.
        lacking: what of it the nearest one lacks, as a clause, or "".
    """

    def __init__(
        self,
        what: str,
        *,
        asked: str,
        nearest: str = "",
        differs: Sequence[str] = (),
        lacking: str = "",
        next_step: str = "",
    ) -> None:
        self.asked = asked
        self.nearest = nearest
        self.differs = tuple(differs)
        self.lacking = lacking
        Exception.__init__(self, self._message(what, next_step))
        self.what = what
        self.why = ""
        self.next_step = next_step

    def _message(self, what: str, next_step: str) -> str:
        lines = [what, f"  asked:   {self.asked}"]
        if self.nearest:
            suffix = f"   differs at {', '.join(self.differs)}" if self.differs else ""
            lines.append(f"  nearest: {self.nearest}{suffix}")
        if self.lacking:
            lines.append(f"  lacks:   {self.lacking}")
        if next_step:
            lines.append(f"  next:    {next_step}")
        return "\n".join(lines)


class LeakedCall(FluxRunError):
    """A live side effect was attempted during a replay and blocked by the fence."""


class DeadlineExceeded(BaseException):
    """A replay gave no outcome in time. A BaseException, to pass the app's `except Exception` on its way out.

    Attributes:
        stacks: what every thread and task was doing.
    """

    def __init__(self, message: str, *, stacks: str = "") -> None:
        super().__init__(message)
        self.stacks = stacks
