"""confluent-kafka's callbacks where more than one run, or none, has to do with a producer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import confluent_kafka
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import threading as threading_seams
from pytest_fluxrun.boundaries.confluent_kafka import boundary
from pytest_fluxrun.boundaries.kafka.confluent_reports import Reports
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, through_json
from pytest_fluxrun.values import decode, encode
from tests.boundaries.kafka_outside import Kafka


@pytest.fixture
def cluster() -> Iterator[Kafka]:
    """A broker, with the seams in place."""
    others = patching.installed_patches()
    patching.restore_all()
    for seams in (threading_seams.boundary, boundary):
        for name in seams.modules:
            patching.install(seams.patches(import_module(name)))
    cluster = Kafka()
    yield cluster
    cluster.close()
    patching.restore_all()
    patching.install(others)


def producer(cluster: Kafka, **callbacks: Any) -> Any:
    """With a silent log."""
    return confluent_kafka.Producer({"bootstrap.servers": cluster.servers, "log_level": 0, **callbacks})


def produced(made: Any, topic: str, *values: bytes) -> list[bytes]:
    """What delivery reports tell of some messages."""
    found: list[bytes] = []
    for value in values:
        made.produce(topic, value, partition=0, callback=lambda _, message: found.append(message.value()))
    made.flush(10)
    return found


def test_runs_that_share_a_producer_get_each_its_own_reports(cluster: Kafka):
    """Recorded one after the other, replayed in the other order on a producer of another start-up."""
    shared, recordings = producer(cluster), []
    for values in ((b"1", b"2"), (b"3",)):
        recorder = MemoryRecorder()
        with recorder.open():
            produced(shared, cluster.topic, *values)
        recordings.append((values, recorder.finish()))
    again = producer(cluster)
    cluster.take_away()
    before = cluster.calls()

    for values, recording in reversed(recordings):
        replayer = MemoryReplayer(recording)
        with replayer.open():
            assert list(values) == produced(again, cluster.topic, *values)
            assert len(again) == 0
        assert replayer.unplayed() == []
    assert before == cluster.calls()


def test_report_that_comes_after_its_run_is_told_all_the_same(cluster: Kafka):
    """By a poll outside of every run: the program's callback is called, and the run holds no report."""
    made, found, recorder = producer(cluster), [], MemoryRecorder()
    with recorder.open():
        made.produce(cluster.topic, b"1", callback=lambda _, message: found.append(message.value()))

    made.flush(10)

    assert [b"1"] == found
    assert [[]] == [one.answer["messages"] for one in recorder.finish()]


def test_thread_of_the_run_that_polls_gets_the_reports(cluster: Kafka):
    """As programs do that keep a thread polling."""

    def program() -> list[bytes]:
        made, found, over = producer(cluster), [], threading.Event()

        def poll() -> None:
            while not found:
                made.poll(0.1)
            over.set()

        made.produce(cluster.topic, b"1", callback=lambda _, message: found.append(message.value()))
        thread = threading.Thread(target=poll)
        thread.start()
        thread.join(10)
        assert over.is_set()
        return found

    recorder = MemoryRecorder()
    with recorder.open():
        expected = program()
    recording = recorder.finish()
    cluster.take_away()

    with MemoryReplayer(recording).open():
        assert expected == program() == [b"1"]


def test_events_outside_of_runs_reach_the_program(cluster: Kafka):
    """Statistics, by the callback that the program gave."""
    found: list[str] = []
    made = producer(cluster, stats_cb=found.append, **{"statistics.interval.ms": 20})

    for _ in range(50):
        if not found:
            made.poll(0.2)

    assert found


def test_throttling_is_told_again_as_it_was():
    """What no broker of a test does: librdkafka calls the setting with such an event."""
    session, told, again = MemoryRecorder(), [], []
    reports, played = Reports(tells_all=True), Reports(tells_all=True)
    settings = reports.kept_back({"throttle_cb": told.append, "acks": 1})
    played.kept_back({"throttle_cb": again.append})

    settings["throttle_cb"](confluent_kafka.ThrottleEvent("broker", 3, 0.25))
    (plain,) = reports.take(session)
    reports.tell()
    played.play(session, [decode(through_json(encode(plain)))])
    played.tell()

    assert settings["acks"] == 1
    assert [vars(event) for event in told] == [vars(event) for event in again]
    assert "broker/3 throttled for 250 ms" == str(again[0])
