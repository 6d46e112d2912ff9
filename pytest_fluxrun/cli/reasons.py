"""What each reason code of readiness means and what to do about it: one table, one paragraph per code."""

from __future__ import annotations

from typing import Final

__all__ = ["explain"]

_REASONS: Final = {
    "opaque": (
        "{about} gave or took a value that a bundle can't hold (an open file, a lock, an object of a class that "
        "no annotation names). It was recorded as a marker, and a replay would have to invent it. Give the "
        "function or the host object a type annotation that leads to the class (a pydantic model or a dataclass), "
        "or move the boundary outwards with fluxrun.host, to where plain values cross it; then record the run "
        "again."
    ),
    "undumpable": (
        "Recording a call of {about} failed when its request or answer was turned into data. The rest of the run "
        "is whole. `fluxrun show RUN` names the error at that call; report it to whoever maintains the boundary, "
        "then record again."
    ),
    "uncovered-library": (
        "The run made a call through {about}, which no boundary covers: its answer is not in the recording, and a "
        "replay refuses the call. Make it through a library that is covered, or put it behind an object wrapped with "
        "fluxrun.host, whose methods are recorded; then record the run again."
    ),
    "over-bound": (
        "The run was larger than the settings max_run_bytes or max_run_interactions allow, so what made it large "
        "was left out. Raise the setting where the app runs, or capture a smaller unit with @fluxrun.capture, and "
        "record again."
    ),
    "preamble-over-bound": (
        "What the process did before its first run (import, start-up, lifespan) was larger than half of the setting "
        "max_run_bytes, or made more calls than max_run_interactions, so it was left out of all its runs. Raise the "
        "setting where the app runs, or make its start-up ask for less, and record again."
    ),
    "other-start-up": (
        "The process that recorded the run started otherwise than the one that this test session started its app "
        "from (another answer, variable or random number), and the app can't be started a second time here. Replay "
        "the run by itself, with the rerun line: then the app starts from the run's own preamble."
    ),
    "displaced": (
        "Something replaced a seam after FluxRun installed it, so a call through it would have gone live unseen. "
        "Find the library or fixture that the message names and undo its patch first, or replay without it."
    ),
    "unreplayable": (
        "A library in the replaying process keeps replays from being faithful; the message names it. gevent's patching "
        "of the standard library is one: greenlets keep real time. Move the call of monkey.patch_all() to where the "
        "server starts, out of the modules that a replay imports. What was recorded under gevent replays with threads."
    ),
    "unsupported": (
        "{about} says that runs of the process that recorded this one can't be faithful: eventlet's green threads "
        "carry no context, so calls were lost or mixed up. Serve with threads, asyncio or gevent, and record again."
    ),
    "not-isolated": (
        "--fluxrun-isolate asks for a process of its own for each run, forked where the app is imported. Threads that "
        "the import starts would be lost in a fork: start them in a lifespan, or leave the option out."
    ),
    "unproven": (
        "The run has not replayed to its own outcome on the release that recorded it: something that nobody "
        "recorded decides it, often a cache in the process. Wrap that object with fluxrun.host, record again, and "
        "run `fluxrun expect RUN`, which proves the run."
    ),
    "start-up-leaked": (
        "Importing the app or running its lifespan tried to reach the outside in a way that no boundary covers. "
        "Move it behind a covered library or fluxrun.host, or out of the start-up."
    ),
    "start-up-unrecorded": (
        "The app's start-up now asks for something that the process which recorded the run did not ask for before "
        "its first run, and fails without it. Make the start-up need nothing new from outside, or record again on "
        "this release. Of a thread that makes more than a thousand calls before the first run, and of what comes "
        "ten minutes after the start, nothing is recorded."
    ),
    "start-up-failed": (
        "The app can't be imported or its lifespan fails without the outside world. The message says where; the "
        "app has to start offline, answered only by what the recording process saw at its own start."
    ),
    "start-up-deadline": (
        "Importing the app or starting its lifespan took longer than the setting timeout_s. Nothing is answered "
        "by the outside during a replay, so look for a wait that only a live service could end."
    ),
    "entry-not-found": (
        "The run names an entry that the project's modules don't register. Add the module that calls "
        "fluxrun.instrument or uses @fluxrun.capture to [tool.fluxrun] modules, or give the entry its recorded "
        "name back."
    ),
    "missing": (
        "There is a guard for this run and no bundle beside it. `fluxrun pull` fetches what the guards pin; if "
        "the store doesn't have it either, push it from where it was recorded."
    ),
    "locked": (
        "None of the project keys at hand opens the bundle. Set FLUXRUN_PROJECT_KEY, or put the key into the key "
        "file that `fluxrun keys list` names; ask the team for the key whose id the message shows."
    ),
    "untrusted": (
        "The bundle is signed by a producer that the trust file doesn't list or marks as revoked. A replay runs "
        "your code on its values, so it is refused. If the producer is yours, add it to the trust file in a "
        "reviewed commit."
    ),
    "bad-signature": (
        "The bundle's bytes are not those that its producer signed. Fetch it again with `fluxrun pull` after "
        "moving the file away; if the store's copy fails too, someone changed it."
    ),
    "damaged": (
        "A length, digest or field of the bundle is wrong. Move the file away and fetch it again with `fluxrun "
        "pull`; nothing in it was used."
    ),
    "truncated": (
        "The file ends before the bundle does: an interrupted copy. Move it away and fetch it again with `fluxrun "
        "pull`."
    ),
    "not-a-bundle": "The file doesn't begin as a bundle does: something else was saved under this name.",
    "over-limit": (
        "The bundle says that it is larger than the format allows. No recorder writes such a file: don't trust it."
    ),
    "unsupported-version": "A newer FluxRun recorded this run. Run `pip install --upgrade pytest-fluxrun` here.",
}


def explain(code: str) -> str:
    """The paragraph for a reason code such as `opaque:host:db`; a code of a newer FluxRun is said to be one."""
    name, _, about = code.partition(":")
    text = _REASONS.get(name)
    if text is None:
        return f"This FluxRun doesn't know the reason {code!r}: a newer one recorded the run. Upgrade pytest-fluxrun."
    return text.format(about=about if name == "uncovered-library" else _subject(about))


def _subject(about: str) -> str:
    match about:
        case "":
            return "A call"
        case "input":
            return "The entry's input"
        case "outcome":
            return "The entry's outcome"
        case boundary:
            return f"The boundary {boundary}"
