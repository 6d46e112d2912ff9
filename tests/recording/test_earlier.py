"""What earlier runs of a process read: the last answer to each read, bounded, and never an effect."""

from __future__ import annotations

from typing import Any

from pytest_fluxrun.config import Settings
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.dumping import dump_run, read_by
from pytest_fluxrun.recording.earlier import EarlierReads
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.run import Interaction, LaneSpec, Recording, Run
from pytest_fluxrun.values import encode, encode_or_opaque


def read(method: str, answer: Any, **fields: Any) -> Interaction:
    form = {"target": "db", "method": method, "args": [], "kwargs": {}, "effect": fields.get("effect", False)}
    return Interaction("db", "host", 1, 0, 5, 9, encode(form), encode_or_opaque(answer), **fields)


def recording(*interactions: Interaction, **variables: str) -> Recording:
    reads = {"environment": {name: [value] for name, value in variables.items()}}
    return Recording(0, 0, 0, 0, (LaneSpec((), ()),), interactions, reads=reads)


def answers(earlier: EarlierReads) -> list[Any]:
    kept = earlier.recording()
    return [] if kept is None else [one.answer for one in kept.interactions]


def test_last_answer_to_each_read_is_kept() -> None:
    """A later run's answer takes the place of an earlier one; it has no time and no lane of its own."""
    earlier = EarlierReads(10_000)
    earlier.add(recording(read("get", 1), read("list", "a")))
    earlier.add(recording(read("get", 2)))

    kept = earlier.recording()

    assert answers(earlier) == [2, "a"]
    assert kept is not None
    assert {(one.lane, one.started_ns, one.ended_ns) for one in kept.interactions} == {(0, 0, 0)}


def test_effects_failures_and_what_cannot_be_kept_are_left_out() -> None:
    """A replay may not be given an effect's answer twice, nor one that holds a marker."""
    earlier = EarlierReads(10_000)
    earlier.add(
        recording(
            read("put", 1, effect=True),
            read("fail", None, failed=True, error={"type": "builtins:OSError"}),
            read("stream", object()),
        )
    )

    assert answers(earlier) == []


def test_variables_are_kept_with_their_last_value() -> None:
    """What a process read of its environment once, and cached."""
    earlier = EarlierReads(10_000)
    earlier.add(recording(MODE="slow"))
    earlier.add(recording(MODE="fast"))

    kept = earlier.recording()

    assert kept is not None
    assert kept.reads == {"environment": {"MODE": ["fast"]}}


def test_bound_in_bytes_holds_and_is_said() -> None:
    """What doesn't fit is left out, also in place of a smaller one; runs that nobody keeps are then let go of."""
    earlier = EarlierReads(300)
    earlier.add(recording(read("get", "x" * 100)))
    before = earlier.full
    earlier.add(recording(read("get", "y" * 1000), read("list", "z" * 1000)))

    assert (before, earlier.full) == (False, True)
    assert answers(earlier) == ["x" * 100]


def test_nothing_is_kept_where_the_setting_says_so() -> None:
    """With 0 bytes, a run carries nothing of others."""
    earlier = EarlierReads(0)
    earlier.add(recording(read("get", 1), MODE="fast"))

    assert earlier.full
    assert earlier.recording() is None


def test_run_carries_the_reads_of_those_before_it_redacted() -> None:
    """Its own are added for the next; a secret among the earlier ones is a token in it, and survives storage."""
    earlier = EarlierReads(10_000)
    earlier.add(recording(read("login", {"password": "hunter2-hunter2"})))
    recorder = Recorder("job", "function", lambda *_: None)
    ending = Ending(dump=lambda: (None, {"returned": None, "error": None}))
    recorder.finish(ending)

    run = dump_run(recorder, ending, None, Settings(), "0" * 26, earlier=earlier)
    payload = run.to_payload()
    again = Run.from_payload(payload)

    assert b"hunter2" not in payload
    assert again.earlier is not None
    assert again.earlier.interactions[0].answer["password"] == run.tokens[0]


def test_run_that_is_not_kept_is_dumped_for_its_reads_alone() -> None:
    """It has no ending to dump."""
    recorder = Recorder("job", "function", lambda *_: None)
    recorder.close()

    assert read_by(recorder, Settings()).interactions == ()
