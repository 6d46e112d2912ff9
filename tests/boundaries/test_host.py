"""fluxrun.host: calls to the app's own objects are recorded, and answered without the object."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import pytest

from pytest_fluxrun.boundaries.host import host
from pytest_fluxrun.errors import OpaqueValue, SettingsError, UnrecordedCall
from pytest_fluxrun.values import has_opaque
from tests.boundaries.sessions import Replayer, recorded, session


class Status(enum.Enum):
    OPEN = "open"


@dataclasses.dataclass
class Order:
    id: str
    status: Status
    items: list[str]


class OrderGone(Exception):
    def __init__(self, order_id: str, *, hint: str) -> None:
        super().__init__(f"order {order_id} is gone")
        self.hint = hint


class Orders:
    """A repository with every sort of member; `lived` counts what really ran."""

    def __init__(self) -> None:
        self.lived: list[str] = []
        self.rows = {"o-1": Order("o-1", Status.OPEN, ["tea"])}

    @property
    def size(self) -> int:
        return len(self.rows)

    def get(self, order_id: str, *, lock: bool = False) -> Order | None:
        self.lived.append("get")
        return self.rows.get(order_id)

    def save(self, order: Order) -> Self:
        self.lived.append("save")
        self.rows[order.id] = order
        return self

    def remove(self, order_id: str) -> None:
        self.lived.append("remove")
        raise OrderGone(order_id, hint="look in the archive")

    def raw(self, order_id: str):
        return self.rows[order_id]

    def stream(self, count: int) -> Iterator[Order]:
        for number in range(count):
            self.lived.append(f"stream {number}")
            yield Order(f"o-{number}", Status.OPEN, [])

    async def fetch(self, order_id: str) -> list[Order]:
        self.lived.append("fetch")
        return [self.rows[order_id]]

    async def watch(self) -> AsyncIterator[str]:
        for number in range(2):
            self.lived.append(f"watch {number}")
            yield f"event {number}"

    def __getitem__(self, order_id: str) -> Order:
        self.lived.append("getitem")
        return self.rows[order_id]

    def __setitem__(self, order_id: str, order: Order) -> None:
        self.lived.append("setitem")
        self.rows[order_id] = order

    def __contains__(self, order_id: str) -> bool:
        self.lived.append("contains")
        return order_id in self.rows

    def __iter__(self) -> Iterator[str]:
        self.lived.append("iter")
        return iter(self.rows)

    def __len__(self) -> int:
        self.lived.append("len")
        return len(self.rows)

    def __enter__(self) -> Self:
        self.lived.append("enter")
        return self

    def __exit__(self, *error: object) -> None:
        self.lived.append("exit")

    def __call__(self, text: str) -> str:
        self.lived.append("call")
        return text.upper()

    def _private(self) -> str:
        self.lived.append("private")
        return "uncrossed"


def use(db: Any) -> list[Any]:
    """Everything once."""
    order = db.get("o-1", lock=True)
    seen: list[Any] = [dataclasses.replace(order, items=list(order.items))]
    order.items.clear()
    seen.append(db.save(Order("o-2", Status.OPEN, [])).get("o-2"))
    with pytest.raises(OrderGone) as gone:
        db.remove("o-9")
    seen += [
        str(gone.value),
        gone.value.hint,
        list(db.stream(2)),
        db["o-1"].id,
        "o-1" in db,
        sorted(db),
        len(db),
        db("x"),
    ]
    db["o-3"] = Order("o-3", Status.OPEN, [])
    with db as entered:
        seen.append(entered is db)
    seen.append(asyncio.run(use_async(db)))
    return seen


async def use_async(db: Any) -> list[Any]:
    """The async members."""
    return [await db.fetch("o-1"), [event async for event in db.watch()]]


def test_every_sort_of_call_is_answered_without_the_object() -> None:
    """Same answers, typed, from a recording that went through JSON; nothing of the live object ran."""
    with recorded() as record:
        first = use(host("db", Orders()))
    fresh = Orders()
    fresh.rows.clear()

    with session(Replayer(record)):
        second = use(host("db", fresh))

    assert second == first
    assert first[0] == Order("o-1", Status.OPEN, ["tea"])
    assert fresh.lived == []
    assert {kept["boundary"] for kept in record.interactions} == {"host:db"}


def test_outside_a_run_the_object_is_called() -> None:
    """The proxy passes for its object, and its uncrossed members are the object's own."""
    orders = Orders()
    db = host("db", orders)

    use(db)

    assert isinstance(db, Orders)
    assert "get" in orders.lived
    assert (db.size, db._private()) == (3, "uncrossed")
    assert db.get.__name__ == "get"


def test_arguments_and_answers_are_kept_as_they_were() -> None:
    """The app changes both after the call; the record doesn't change with them."""
    with recorded() as record:
        order = Order("o-2", Status.OPEN, ["tea"])
        db = host("db", Orders())
        db.save(order)
        order.items.append("milk")
        db.get("o-1").items.append("sugar")

    saved, got = record.interactions
    assert saved["request"]["args"] == [{"id": "o-2", "status": "open", "items": ["tea"]}]
    assert got["answer"]["value"]["v"]["items"] == ["tea"]


def test_another_argument_is_another_call() -> None:
    """A merely similar answer is never served."""
    with recorded() as record:
        host("db", Orders()).get("o-1")

    with session(Replayer(record)), pytest.raises(UnrecordedCall):
        host("db", Orders()).get("o-1", lock=True)


def test_an_answer_without_annotation_is_known_to_be_opaque() -> None:
    """The record says so when it is made, and its replay refuses."""
    with recorded() as record:
        host("db", Orders()).rows_of = None
        assert host("raw", Raw()).raw().id == "o-1"

    assert has_opaque(record.interactions[0]["answer"]) is True
    with session(Replayer(record)), pytest.raises(OpaqueValue, match="Order can't be given back"):
        host("raw", Raw()).raw()


class Raw:
    def raw(self):
        return Order("o-1", Status.OPEN, [])


def test_effects_are_declared_or_judged_by_name() -> None:
    """Without a declaration the first word decides."""
    with recorded() as record:
        orders = Orders()
        host("db", orders).get("o-1")
        host("db", orders)("x")
        host("db", orders, effects=("get",)).get("o-1")
        host("db", orders, effects=())("x")

    assert [kept["request"]["effect"] for kept in record.interactions] == [False, True, True, False]


class Rows:
    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        return 1

    def close(self) -> None:
        self.closed = True


class Table:
    def __init__(self) -> None:
        self.rows = Rows()

    def __iter__(self) -> Iterator[int]:
        return self.rows


def test_a_left_iterator_is_closed() -> None:
    """Items are crossings of their own; the live iterator ends when the app leaves it."""
    table = Table()
    with recorded() as record:
        rows = iter(host("table", table))
        next(rows)
        left_open = table.rows.closed
        rows.close()

    assert [kept["request"]["step"] for kept in record.interactions] == [1]
    assert (left_open, table.rows.closed) == (False, True)


def test_nested_calls_are_part_of_the_outer_one() -> None:
    """The outermost crossing wins."""

    class Outer:
        def get(self) -> int:
            return len(host("inner", [1, 2]))

    with recorded() as record:
        assert host("outer", Outer()).get() == 2

    assert [kept["boundary"] for kept in record.interactions] == ["host:outer"]


def test_a_name_that_no_bundle_can_hold_is_refused() -> None:
    """The name is written into bundles and reports."""
    with pytest.raises(SettingsError, match="can't use the name 'a b'"):
        host("a b", object())
