"""Randomness of others than CPython's modules: numpy, OpenSSL, getrandom, UUIDs made in Rust; pydantic's own now."""

# ruff: noqa: NPY002 - the legacy functions are what is tested

from __future__ import annotations

import os
import pickle
import ssl
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, ClassVar

import fastuuid
import numpy as np
import pydantic
import pytest
import uuid_utils
import uuid_utils.compat

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import clock, entropy
from pytest_fluxrun.bundle import new_run_id
from pytest_fluxrun.context import entered
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import call
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording
from pytest_fluxrun.testing.ambient import AmbientContract

UUID_UTILS = ("uuid1", "uuid4", "uuid6", "uuid7")


def seams(*names: str) -> tuple[Any, ...]:
    return (entropy.boundary, *(import_module(f"pytest_fluxrun.boundaries.{name}").boundary for name in names))


class TestOctets(AmbientContract):
    """OpenSSL's generator, and the kernel's by another door than os.urandom."""

    seams = seams("ssl")
    exercises: ClassVar = {
        "RAND_bytes": lambda: ssl.RAND_bytes(16),
        "getrandom": lambda: os.getrandom(12),
        "getrandom with a flag": lambda: os.getrandom(12, os.GRND_NONBLOCK),
        "both": lambda: [ssl.RAND_bytes(4), os.getrandom(4), os.urandom(4)],
    }


class TestRustIds(AmbientContract):
    """Ids that are made beneath Python, as their own classes and as the standard library's."""

    seams = seams("uuid_utils", "fastuuid")
    exercises: ClassVar = {
        **{f"uuid_utils.{name}": lambda name=name: getattr(uuid_utils, name)() for name in UUID_UTILS},
        "uuid_utils.uuid7 at a time": lambda: uuid_utils.uuid7(nanoseconds=5),
        "uuid_utils.compat": lambda: [uuid_utils.compat.uuid4(), uuid_utils.compat.uuid7()],
        **{f"fastuuid.{name}": lambda name=name: getattr(fastuuid, name)() for name in ("uuid_v1mc", "uuid4", "uuid7")},
        "fastuuid in bulk": lambda: fastuuid.uuid4_bulk(3) + fastuuid.uuid7_bulk(2),
        "fastuuid in bulk as texts": lambda: fastuuid.uuid4_as_strings_bulk(3) + fastuuid.uuid7_as_strings_bulk(2),
        "types": lambda: [type(uuid_utils.uuid7()), type(uuid_utils.compat.uuid7()), type(fastuuid.uuid4())],
    }  # fmt: skip
    constant = frozenset({"types"})


class Generators:
    """A generator from before the run, as a module keeps one. Made with the seams in place."""

    before: ClassVar[Any] = None

    @classmethod
    def of_module(cls) -> Any:
        if cls.before is None:
            cls.before = np.random.default_rng(3)
        return cls.before


def made_in_the_run() -> list[float]:
    generator = np.random.default_rng()
    return [generator.random(), float(generator.normal()), int(generator.integers(1000))]


def arrays() -> list[Any]:
    items = list(range(20))
    Generators.of_module().shuffle(items)
    return [Generators.of_module().random(5).tolist(), np.random.rand(3).tolist(), items]


class TestNumpy(AmbientContract):
    """The module's functions, and generators."""

    seams = seams("numpy")
    exercises: ClassVar = {
        "legacy": lambda: [np.random.random(), float(np.random.normal()), int(np.random.randint(100))],
        "legacy gauss is kept in pairs": lambda: [float(np.random.standard_normal()) for _ in range(3)],
        "generator from before": lambda: [Generators.of_module().random() for _ in range(4)],
        "generator of the run": made_in_the_run,
        "arrays": arrays,
        "both in turn": lambda: [f() for _ in range(3) for f in (np.random.random, Generators.of_module().random)],
        "choice": lambda: np.random.choice(100, size=5).tolist() + Generators.of_module().choice(100, size=5).tolist(),
    }

    def test_draws_of_others_in_between_change_nothing(self) -> None:
        """Where another run drew, the state is recorded anew."""
        recorded, recording = self.record("generator from before")
        assert 1 == len(recording.reads["numpy"])
        Generators.of_module().random(7)
        replayed, _ = self.replay("generator from before", recording)
        assert recorded == replayed

    def test_many_draws_record_one_state(self) -> None:
        """A million numbers cost what one costs."""
        type(self).exercises = {**self.exercises, "many": lambda: float(Generators.of_module().random(1_000_000).sum())}
        _, recording = self.record("many")
        assert 1 == len(recording.reads["numpy"])

    def test_generator_is_numpys_for_all_who_ask(self) -> None:
        """By isinstance, by name, and pickled."""
        generator = np.random.default_rng(1)
        assert isinstance(generator, np.random.Generator)
        assert "Generator(PCG64)" == str(generator)
        assert generator.random() == np.random.Generator(np.random.PCG64(1)).random()
        assert pickle.loads(pickle.dumps(generator)).random() == generator.random()
        assert np.random.default_rng(generator) is generator


@pytest.fixture
def compared_by_the_run() -> Any:
    others = patching.installed_patches()
    boundary = import_module("pytest_fluxrun.boundaries.pydantic").boundary
    patching.install(boundary.replay_patches(import_module("pydantic.types")))
    yield
    patching.restore_all()
    patching.install(others)


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "error"),
    [
        (pydantic.PastDate, lambda now: (now - DAY).date(), lambda now: now.date(), "date_past"),
        (pydantic.FutureDate, lambda now: (now + DAY).date(), lambda now: now.date(), "date_future"),
        (pydantic.PastDatetime, lambda now: now - DAY, lambda now: now + DAY, "datetime_past"),
        (pydantic.FutureDatetime, lambda now: now + DAY, lambda now: now - DAY, "datetime_future"),
    ],
)
def test_pydantic_compares_as_it_does_itself(
    compared_by_the_run: None, annotation: Any, good: Any, bad: Any, error: str
):
    """The same values pass, and the same error with the same text tells of the others; the JSON schema is the same."""
    patched = pydantic.TypeAdapter(annotation)
    patching.restore_all()
    stock = pydantic.TypeAdapter(annotation)
    for now in (datetime.now(UTC), datetime.now()):
        assert stock.validate_python(good(now)) == patched.validate_python(good(now))
        told = []
        for adapter in (stock, patched):
            with pytest.raises(pydantic.ValidationError) as raised:
                adapter.validate_python(bad(now))
            told.append(raised.value.errors(include_url=False))
        assert told[0] == told[1]
        assert error == told[0][0]["type"]
    assert stock.json_schema() == patched.json_schema()


def test_date_of_a_replayed_run_is_compared_with_its_own_time(compared_by_the_run: None):
    """What was in the future when the run was recorded still is at its replay, years later."""
    adapter = pydantic.TypeAdapter(pydantic.FutureDatetime)
    recorded_ns = int(datetime(2020, 5, 4, tzinfo=UTC).timestamp() * 1e9)
    recording = Recording(wall_ns=recorded_ns, mono_ns=0, perf_ns=0, duration_ns=0)
    virtual = VirtualClock()
    replayer = Replayer(recording, run_id=new_run_id(), shared=Answers(None), clock=virtual)
    patching.install(clock.boundary.patches(import_module("time")))

    with entered(replayer.lane):
        value = call(lambda: adapter.validate_python(datetime(2020, 5, 5, tzinfo=UTC)), virtual)

    replayer.close()
    virtual.close()
    assert datetime(2020, 5, 5, tzinfo=UTC) == value
    assert [] == replayer.drifts
