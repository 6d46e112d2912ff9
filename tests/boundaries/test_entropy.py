"""Entropy: values drawn in a run come again; what follows from a seed of the run isn't recorded at all."""

from __future__ import annotations

import gc
import hashlib
import hmac
import os
import random
import secrets
import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterator
from random import random as copied
from typing import Any

import anyio.to_thread
import orjson
import pytest

from pytest_fluxrun import ambient, patching
from pytest_fluxrun.boundaries.entropy import boundary
from pytest_fluxrun.config import Settings, use_settings
from pytest_fluxrun.context import entered
from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.run import Recording
from tests.ambient_runs import RecordingSession, record, replay

native = pytest.mark.skipif(not ambient.is_native(), reason="the C extension isn't built")

import_time = random.Random(7)
unseeded_before = random.Random()


class Dice(random.Random):
    """A subclass with a constructor of its own."""

    def __init__(self, sides: int) -> None:
        super().__init__()
        self.sides = sides

    def roll(self) -> int:
        """One throw."""
        return self.randint(1, self.sides)


def _install() -> None:
    for module in (os, random, uuid):
        patching.install(boundary.patches(module))


@pytest.fixture(autouse=True)
def _entropy() -> Iterator[None]:
    _install()
    yield
    patching.restore_all()
    ambient.uninstall()


@pytest.fixture
def pure() -> Iterator[None]:
    """Attribute wrappers in place of the C extension."""
    ambient.uninstall()
    use_settings(Settings(pure=True))
    _install()
    yield
    use_settings(None)


def through_modules() -> list[Any]:
    """Entropy as programs draw it by way of modules and instances."""
    items = list(range(20))
    random.shuffle(items)
    return [
        items,
        random.random(),
        random.randint(1, 10**30),
        random.sample(range(1000), 5),
        random.gauss(0, 1),
        random.randbytes(5),
        random.choices("abc", k=4),
        import_time.random(),
        unseeded_before.getrandbits(70),
        random.Random().random(),
        Dice(6).roll(),
        random.SystemRandom().random(),
        secrets.token_hex(8),
        secrets.randbelow(10**9),
        uuid.uuid4(),
        os.urandom(7),
        os.urandom(0),
    ]


@native
def test_every_source_is_served_bit_for_bit() -> None:
    """The standard library's sources, copies of functions and uuid1's clock and node."""

    def draw() -> list[Any]:
        return [*through_modules(), copied(), uuid.uuid1(), tempfile.mktemp()]

    recorded, recording = record(draw)
    replayed = replay(recording, draw)

    assert recorded == replayed.result
    assert () == replayed.drifts


@native
@pytest.mark.usefixtures("lane_seams")
def test_what_a_library_draws_in_a_job_is_the_runs() -> None:
    """No code of an app calls it there: FastAPI's `background.add_task(celery_task.delay)` draws a message's id so."""

    async def job() -> uuid.UUID:
        return await anyio.to_thread.run_sync(uuid.uuid4)

    drawn, recording = record(lambda: anyio.run(job))
    assert drawn == replay(recording, lambda: anyio.run(job)).result


@pytest.mark.usefixtures("pure")
def test_wrappers_serve_what_goes_through_modules() -> None:
    """Without the extension too, whatever isn't a copy made before."""
    recorded, recording = record(through_modules)
    replayed = replay(recording, through_modules)

    assert recorded == replayed.result
    assert () == replayed.drifts


@pytest.mark.parametrize("wrappers", [pytest.param(False, marks=native), True], ids=["native", "pure"])
def test_instance_seeded_in_the_run_is_not_recorded(wrappers: bool, request: pytest.FixtureRequest) -> None:
    """Its draws follow from its seed; an instance from before the run, and the shared one, are recorded by value."""
    if wrappers:
        request.getfixturevalue("pure")

    def draw() -> list[float]:
        mine = random.Random(42)
        return [mine.random() for _ in range(4)] + [mine.gauss(), mine.random()]

    expected = [0.6394267984578837, 0.025010755222666936, 0.27502931836911926, 0.22321073814882275]
    expected += [-0.12758828378288709, 0.8921795677048454]
    recorded, recording = record(draw)
    assert expected == recorded == replay(recording, draw).result
    assert () == recording.segments

    def reseed() -> float:
        random.seed(42)
        return random.random()

    assert 1 == len(record(reseed)[1].segments)
    assert 1 == len(record(import_time.random)[1].segments)


@native
def test_instance_of_another_run_is_recorded() -> None:
    """An instance that one run seeded and another draws from has a past that the other doesn't know."""
    kept: list[random.Random] = []
    record(lambda: kept.append(random.Random(1)))

    def draw() -> float:
        return kept[0].random()

    drawn, recording = record(draw)
    kept[0].seed(99)

    assert drawn == replay(recording, draw).result


@native
def test_seeding_holds_neither_instance_nor_session() -> None:
    """What a run seeded is forgotten with it."""
    session = RecordingSession()
    with entered(session.lane):
        instance = random.Random(1)
    gone, seen = weakref.ref(instance), weakref.ref(session)
    del instance, session
    gc.collect()

    assert (None, None) == (gone(), seen())


@pytest.mark.parametrize("kept_by", ["recording", "replay", "both", "neither"])
@native
def test_unseeded_instance_may_be_kept_between_runs(kept_by: str) -> None:
    """A generator made on first use draws the same, whether the run or its replay was the process's first."""
    kept: list[random.Random] = []

    def draw() -> list[float]:
        if not kept:
            kept.append(random.Random())
        return [kept[0].random() for _ in range(5)]

    if kept_by in {"recording", "both"}:
        draw()
    recorded, recording = record(draw)
    kept.clear()
    if kept_by in {"replay", "both"}:
        draw()

    assert recorded == replay(recording, draw).result


@native
def test_ids_stay_with_their_place_when_an_earlier_one_is_added() -> None:
    """An added uuid4 takes no other's value, is the same in each replay of the run, and is noted once."""

    def before() -> dict[str, uuid.UUID]:
        order = uuid.uuid4()
        payment = uuid.uuid4()
        return {"order": order, "payment": payment}

    def after() -> dict[str, uuid.UUID]:
        added = [uuid.uuid4() for _ in range(3)]
        order = uuid.uuid4()
        payment = uuid.uuid4()
        return {"order": order, "payment": payment, "added": added[0]}

    after.__code__ = after.__code__.replace(co_qualname=before.__code__.co_qualname)
    recorded, recording = record(before)
    first, again, other = replay(recording, after), replay(recording, after), replay(recording, after, run_id="other")

    assert recorded == {name: first.result[name] for name in recorded}
    assert first.result == again.result
    assert first.result["added"] != other.result["added"]
    assert [DriftKind.ENTROPY_EXTRA] == [kind for kind, _ in first.drifts if "added" in _]
    assert 4 == first.result["added"].version


@native
@pytest.mark.parametrize(
    "draw",
    [
        random.random,
        lambda: random.getrandbits(13),
        lambda: random.randint(5, 9),
        lambda: os.urandom(5),
        lambda: random.gauss(5, 2),
        uuid.uuid1,
        uuid.uuid4,
        lambda: random.Random().random(),
    ],
)
def test_added_draws_have_the_right_form(draw: Callable[[], Any]) -> None:
    """Every source gives values of its own form where the recording has none, the same in every replay."""
    nothing = Recording(wall_ns=0, mono_ns=0, perf_ns=0, duration_ns=0)

    def thrice() -> list[Any]:
        return [draw() for _ in range(3)]

    replayed = replay(nothing, thrice)

    assert [type(draw())] * 3 == [type(value) for value in replayed.result]
    assert 1 < len(set(replayed.result))
    assert replayed.result == replay(nothing, thrice).result
    assert {DriftKind.ENTROPY_EXTRA} == {kind for kind, _ in replayed.drifts}


@native
def test_draw_of_another_size_is_an_added_one() -> None:
    """A value that doesn't answer the call isn't served."""
    size = [8]
    _, recording = record(lambda: os.urandom(size[0]))

    def draw() -> bytes:
        return os.urandom(size[0])

    _, recording = record(draw)
    size[0] = 12

    replayed = replay(recording, draw)

    assert 12 == len(replayed.result)
    assert [DriftKind.ENTROPY_EXTRA] == [kind for kind, _ in replayed.drifts]


@native
def test_refused_arguments_raise_as_before() -> None:
    """A bad size is the original's to refuse."""

    def wrong() -> list[str]:
        messages = []
        for call in (lambda: os.urandom(-1), lambda: random.getrandbits(-1), lambda: os.urandom("x")):  # type: ignore[arg-type]
            with pytest.raises((TypeError, ValueError)) as caught:
                call()
            messages.append(str(caught.value))
        return messages

    expected = wrong()
    recorded, recording = record(wrong)

    assert expected == recorded == replay(recording, wrong).result


@native
def test_verification_of_a_token_is_served_as_recorded() -> None:
    """A signature whose secret was redacted verifies as it did; one without a token is compared truly."""

    def verify(secret: str, given: str) -> tuple[bool, bool]:
        expected = hmac.new(b"key", secret.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, given), hmac.compare_digest(b"a", b"b")

    signature = hmac.new(b"key", b"secret", hashlib.sha256).hexdigest()
    recorded, recording = record(lambda: verify("secret", signature))
    token = "fxt-0123456789"

    served = replay(recording, lambda: verify("other", token), tokens=(token,))
    true = replay(recording, lambda: verify("other", "forged"), tokens=(token,))

    assert (True, False) == recorded == served.result
    assert [DriftKind.VERIFICATION_SERVED] == [kind for kind, _ in served.drifts]
    assert (False, False) == true.result


@native
def test_ninety_thousand_draws_are_packed(capsys: pytest.CaptureFixture[str]) -> None:
    """A request that draws 90,000 numbers stores two columns, and replays exactly."""

    def draw() -> float:
        return sum(random.random() - random.getrandbits(1) for _ in range(45_000))

    session = RecordingSession()
    with entered(session.lane):
        started_ns = ambient.perf_counter_ns()
        recorded = draw()
        drawn_ns = ambient.perf_counter_ns()
        recording = session.recording()
        packed_ns = ambient.perf_counter_ns()
    size = len(orjson.dumps(recording))
    replayed = replay(recording, draw)
    replayed_ns = ambient.perf_counter_ns()
    with capsys.disabled():
        print(
            f"\n90,000: drawn {(drawn_ns - started_ns) / 1e6:.0f} ms, packed {(packed_ns - drawn_ns) / 1e6:.0f} ms,"
            f" stored {size / 1e6:.2f} MB, replayed {(replayed_ns - packed_ns) / 1e6:.0f} ms"
        )

    assert recorded == replayed.result
    assert () == replayed.drifts
    assert 2 == sum(len(segment.reads) for segment in recording.segments)
    assert size < 90_000 * 12
