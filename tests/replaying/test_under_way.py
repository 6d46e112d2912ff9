"""Calls that were under way at once end in their recorded order, whenever a replay makes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_fluxrun.replaying.under_way import UnderWay
from pytest_fluxrun.run import Interaction

MS = 1_000_000


def call(started_ns: int, ended_ns: int) -> Interaction:
    """A call of any sort."""
    return Interaction("httpx", "http", 1, 0, started_ns, ended_ns, {})


@given(
    st.lists(
        st.tuples(st.integers(0, 5 * MS), st.integers(1, 20 * MS)),
        min_size=2,
        max_size=12,
        unique_by=lambda one: one[0] + one[1],
    )
)
def test_calls_made_at_one_instant_end_in_their_recorded_order(calls: list[tuple[int, int]]) -> None:
    """A replay computes in no time, so that all begin at once: their durations alone would give another order."""
    under_way = UnderWay()
    made = [call(start, start + duration) for start, duration in sorted(calls)]

    dues = [under_way.begin(each, 0)[1] for each in made]

    in_order_of_due = [each.ended_ns for _, each in sorted(zip(dues, made, strict=True), key=lambda pair: pair[0])]
    assert sorted(each.ended_ns for each in made) == in_order_of_due


def test_a_call_alone_takes_its_recorded_time() -> None:
    """Nothing moves it."""
    assert 0.009 == UnderWay().begin(call(3 * MS, 12 * MS), 0)[1]


def test_a_body_that_came_at_once_belongs_to_its_call() -> None:
    """The head of the first came first, and the whole of the second."""
    under_way = UnderWay()

    _, first_s = under_way.begin(call(0, 5 * MS), 0, 4 * MS)
    _, second_s = under_way.begin(call(0, 6 * MS), 0, 1 * MS)

    assert second_s < first_s


def test_what_the_code_moved_far_apart_stays_apart() -> None:
    """A call that ends more than 100 ms from the others isn't drawn to them."""
    under_way = UnderWay()
    under_way.begin(call(0, 5 * MS), 0)

    assert 0.501 == under_way.begin(call(0, 1 * MS), 500 * MS)[1] + 0.5
