"""Matching: the same call gets its own answer, another call gets none."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pytest_fluxrun.boundary import Kind
from pytest_fluxrun.derived import Derived
from pytest_fluxrun.kinds.host import HOST
from pytest_fluxrun.kinds.http import HTTP
from pytest_fluxrun.replaying.matching import Matcher
from pytest_fluxrun.run import Interaction, LaneSpec
from pytest_fluxrun.values import encode

ROOT = LaneSpec((), ())


def lane(name: str, ordinal: int, position: int) -> LaneSpec:
    return LaneSpec(((name, ordinal),), (position,))


def asked(method: str, *args: Any) -> dict[str, Any]:
    return {"target": "db", "method": method, "args": list(args), "kwargs": {}, "effect": None}


def recorded(method: str, *args: Any, lane: int = 0, kind: str = "host") -> Interaction:
    request = asked(method, *args)
    return Interaction("host", kind, 1, lane, 0, 0, encode(request), effect=HOST.is_effect(request))


def matcher(*interactions: Interaction, lanes: tuple[LaneSpec, ...] = (ROOT,), **options: Any) -> Matcher:
    return Matcher(interactions, lanes, **options)


def take(found: Matcher, method: str, *args: Any, at: LaneSpec = ROOT) -> int | None:
    return found.take(HOST, HOST.canonical(asked(method, *args)), at.path, at.position)


def test_equal_calls_of_a_lane_are_answered_in_order_and_once():
    """First recorded, first served; then none is left."""
    found = matcher(recorded("get", 1), recorded("get", 2), recorded("get", 1))
    assert [0, 2, None, 1] == [take(found, "get", n) for n in (1, 1, 1, 2)]
    assert [] == list(found.unplayed())


@pytest.mark.parametrize("args", [(1.0,), (True,), ("1",), (1, 2), (), ((1,),), (None,)])
def test_similar_call_gets_no_answer(args: tuple[Any, ...]):
    """Types count, and nothing is served for merely similar arguments."""
    found = matcher(recorded("get", 1))
    assert take(found, "get", *args) is None
    assert [0] == list(found.unplayed())


def test_no_answer_comes_from_another_kind():
    """The same canonical text of another kind is another call."""
    found = matcher(recorded("get", 1, kind="other"))
    assert take(found, "get", 1) is None
    assert found.nearest(HOST, asked("get", 3)) is None


def test_concurrent_identical_calls_keep_to_their_lanes():
    """180 equal calls in 60 lanes of one name, replayed in reverse: each lane gets its own three, in order."""
    lanes = tuple(lane("worker", n + 1, n + 1) for n in range(60))
    interactions = [recorded("get", 1, lane=n) for _ in range(3) for n in range(60)]
    found = matcher(*interactions, lanes=lanes)

    served = [[take(found, "get", 1, at=spec) for _ in range(3)] for spec in reversed(lanes)]

    assert [[n, n + 60, n + 120] for n in reversed(range(60))] == served


def test_renamed_coroutine_falls_back_to_its_position():
    """Lanes of another name are found where they were spawned."""
    lanes = (lane("load", 1, 1), lane("load", 2, 2))
    found = matcher(recorded("get", 1, lane=0), recorded("get", 1, lane=1), lanes=lanes)
    assert [1, 0] == [take(found, "get", 1, at=lane("fetch", n, n)) for n in (2, 1)]


def test_name_wins_over_position():
    """A task spawned before moves positions; the names still lead to the answers."""
    lanes = (lane("load", 1, 1), lane("load", 2, 2))
    found = matcher(recorded("get", 1, lane=0), recorded("get", 1, lane=1), lanes=lanes)
    assert [1, 0] == [take(found, "get", 1, at=lane("load", n, n + 1)) for n in (2, 1)]


def test_call_of_an_unknown_lane_takes_the_oldest():
    """Where neither name nor position is known, the oldest answer that is left is served."""
    lanes = (lane("load", 1, 1), lane("load", 2, 2))
    found = matcher(recorded("get", 1, lane=1), recorded("get", 1, lane=0), lanes=lanes)
    assert [0, 1, None] == [take(found, "get", 1, at=lane("new", 1, 9)) for _ in range(3)]


def test_identical_read_is_repeated_at_most_so_often():
    """The last answer is given again up to the bound, and only to the call that had it."""
    found = matcher(recorded("get", 1), recorded("get", 1), recorded("get", 2))
    one, two = (HOST.canonical(asked("get", n)) for n in (1, 2))
    assert found.repeat(HOST, one, at_most=3) is None
    assert [0, 1] == [take(found, "get", 1), take(found, "get", 1)]
    assert [1, 1, 1, None] == [found.repeat(HOST, one, at_most=3) for _ in range(4)]
    assert found.repeat(HOST, two, at_most=3) is None


def test_changed_effect_takes_the_oldest_unplayed_one_of_its_operation():
    """Other arguments, same method, in the lane; a read or another method is never taken."""
    found = matcher(recorded("save", 1), recorded("drop", 1), recorded("get", 1), recorded("save", 2))
    assert 3 == take(found, "save", 2)
    assert 0 == found.take_effect(HOST, "db.save", (), ())
    assert found.take_effect(HOST, "db.save", (), ()) is None
    assert found.take_effect(HOST, "db.get", (), ()) is None
    assert [1, 2] == list(found.unplayed())


def test_what_may_be_answered_often_is():
    """`any_of` plays nothing and answers with the first."""
    found = matcher(recorded("get", 1), recorded("get", 1))
    canonical = HOST.canonical(asked("get", 1))
    assert [0, 0, 0] == [found.any_of(HOST, canonical) for _ in range(3)]
    assert found.any_of(HOST, HOST.canonical(asked("get", 2))) is None


def test_nearest_is_unplayed_and_of_the_same_operation():
    """What a reader compares a miss with."""
    found = matcher(recorded("get", 1), recorded("get", 2), recorded("find", 1))
    take(found, "get", 1)
    assert 1 == found.nearest(HOST, asked("get", 3))
    take(found, "get", 2)
    assert 0 == found.nearest(HOST, asked("get", 3))
    assert found.nearest(HOST, asked("all")) is None


TOKEN = "fx0123456789"


def unredacted(kind: Kind, stored: dict[str, Any], live: dict[str, Any]) -> bool:
    interaction = Interaction("one", kind.name, 1, 0, 0, 0, encode(stored), effect=True)
    found = Matcher((interaction,), (ROOT,), (TOKEN,))
    return found.unredacted(kind, kind.operation(live), kind.canonical(live)) is not None


@pytest.mark.parametrize(
    ("live", "matches"),
    [
        ({"key": "sk-live-1234", "amount": 1}, True),
        ({"key": "two words 12", "amount": 1}, True),
        ({"key": "", "amount": 1}, False),
        ({"key": "sk-live-1234", "amount": 2}, False),
        ({"amount": 1, "key": "sk-live-1234", "to": "x"}, False),
        ({"amount": 1, "key": "sk", "kez": "x"}, False),
        ({"key": ["a", "b"], "amount": 1}, False),
        ({"key": 'a"b', "amount": 1}, False),
    ],
)
def test_secret_matches_its_token_and_nothing_around_it(live: Any, matches: bool):
    """Another field hidden in the place of a secret is another call."""
    assert matches is unredacted(HOST, asked("charge", {"key": TOKEN, "amount": 1}), asked("charge", live))


def get(query: str) -> dict[str, Any]:
    return {"method": "GET", "url": f"https://pay.example/charge?{query}", "headers": [], "body": "", "streamed": False}


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("key=sk-live-1234&to=a", True),
        ("key=sk-live-1234&to=b", False),
        ("key=sk&kez=1&to=a", False),
        ("key=sk&to=b&to=a", False),
    ],
)
def test_secret_in_a_query_matches_its_parameter_only(query: str, matches: bool):
    """A further parameter isn't part of the secret."""
    assert matches is unredacted(HTTP, get(f"key={TOKEN}&to=a"), get(query))


def test_digest_made_of_a_token_matches_the_one_made_of_the_secret():
    """A request that is signed with a redacted key is the recorded one, and another request so signed isn't."""
    sign, made = hashlib.sha256(b"a secret key").hexdigest(), hashlib.sha256(TOKEN.encode()).hexdigest()
    stored = asked("charge", {"sign": sign, "key": TOKEN, "amount": 1})
    found = Matcher((Interaction("one", HOST.name, 1, 0, 0, 0, encode(stored), effect=True),), (ROOT,), (TOKEN,))

    def underived(*digests: str, **changed: Any) -> str | None:
        live = asked("charge", {"sign": made, "key": TOKEN, "amount": 1, **changed})
        return found.underived(HOST, live, Derived(digests))

    assert HOST.canonical(stored) == underived(made)
    assert [None] * 4 == [underived(), underived(made, amount=2), underived(made, sign="5e" * 32), underived(made[:-2])]


def test_signed_body_is_compared_by_its_parts():
    """Also where the body as a whole is."""
    sign, made = hashlib.sha256(b"a secret key").hexdigest(), hashlib.sha256(TOKEN.encode()).hexdigest()

    def post(sign: str, amount: int) -> dict[str, Any]:
        headers = [["content-type", "application/json"]]
        body = f'{{"amount": {amount}, "sign": "{sign}"}}'
        return {**get("to=a"), "method": "POST", "headers": headers, "body": body}

    first, second = (Interaction("one", "http", 1, 0, 0, 0, encode(post(sign, n)), effect=True) for n in (1, 2))
    found = Matcher((first, second), (ROOT,), (TOKEN,))

    assert HTTP.canonical(post(sign, 2)) == found.underived(HTTP, post(made, 2), Derived((made,)))
    assert found.underived(HTTP, post(made, 3), Derived((made,))) is None
