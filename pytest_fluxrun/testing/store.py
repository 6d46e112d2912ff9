"""The contract of a store, as tests: subclass `StoreContract` and give it a fixture `store` that is a new, empty one.

Needs pytest. A class that passes may be trusted with bundles: none lost, none changed, none half there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from pytest_fluxrun.errors import RunNotFound, StoreError
from pytest_fluxrun.store.base import SUFFIX, Store

__all__ = ["StoreContract", "example_name"]

_Result = TypeVar("_Result")

_RUN_ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_BYTES = bytes(range(256)) * 3
_REFUSED_NAMES = (
    "",
    "orders",
    "01jd3k00000000000000000000",
    "-01jd3k00000000000000000000",
    "../orders-01jd3k00000000000000000000",
    "a/b-01jd3k00000000000000000000",
    "a\\b-01jd3k00000000000000000000",
    ".orders-01jd3k00000000000000000000",
    "-orders-01jd3k00000000000000000000",
    "orders-81jd3k00000000000000000000",
    "orders-01JD3K00000000000000000000",
    "orders-01jd3k0000000000000000000",
    "orders-01jd3k0000000000000000000u",
    "orders-01jd3k00000000000000000000.fluxrun",
    "orders-01jd3k00000000000000000000\n",
    "or ders-01jd3k00000000000000000000",
    "örders-01jd3k00000000000000000000",
    "o\0rders-01jd3k00000000000000000000",
    "o" * 174 + "-01jd3k00000000000000000000",
)


def example_name(number: int, entry: str = "orders.create") -> str:
    """Return a valid name; a larger `number` gives one that sorts later."""
    digits = ""
    for _ in range(20):
        number, rest = divmod(number, 32)
        digits = _RUN_ID_LETTERS[rest] + digits
    return f"{entry}-01jd3k{digits}"


class StoreContract:
    """What every store does. Subclass it in a test module and define the fixture `store`."""

    def test_stored_bundle_is_read_back(self, store: Store) -> None:
        """Every byte value comes back, in order."""
        assert store.put(example_name(1), _BYTES) is True
        assert store.read(example_name(1)) == _BYTES

    def test_bundle_is_read_in_chunks_of_bytes(self, store: Store) -> None:
        """`get` gives an iterator of bytes that joined are the bundle."""
        store.put(example_name(1), _BYTES)
        chunks = list(store.get(example_name(1)))
        assert {type(chunk) for chunk in chunks} == {bytes}
        assert b"".join(chunks) == _BYTES

    def test_changing_the_buffer_later_changes_nothing(self, store: Store) -> None:
        """A store keeps its own copy of what it was given."""
        buffer = bytearray(_BYTES)
        store.put(example_name(1), bytes(buffer))
        buffer[:] = bytes(len(buffer))
        assert store.read(example_name(1)) == _BYTES

    def test_identical_bundle_stored_again_is_already_there(self, store: Store) -> None:
        """The second `put` says False, and there is still one."""
        store.put(example_name(1), _BYTES)
        assert store.put(example_name(1), _BYTES) is False
        assert list(store.names()) == [example_name(1)]

    @pytest.mark.parametrize("other", [b"", b"x", _BYTES[:-1], _BYTES + b"x", _BYTES[:-1] + b"x"])
    def test_other_content_under_a_taken_name_is_refused(self, store: Store, other: bytes) -> None:
        """The error names the bundle and the store, and what was there stays."""
        store.put(example_name(1), _BYTES)
        refused = _raised(StoreError, lambda: store.put(example_name(1), other))
        assert not isinstance(refused, RunNotFound)
        assert example_name(1) in refused.what
        assert store.location in refused.what
        assert refused.next_step
        assert store.read(example_name(1)) == _BYTES

    def test_of_16_writers_of_one_bundle_exactly_one_stores_it(self, store: Store) -> None:
        """The others are told that it is already there."""
        answers = _at_once(16, lambda _: store.put(example_name(1), _BYTES))
        assert sorted(answers) == [False] * 15 + [True]
        assert store.read(example_name(1)) == _BYTES

    def test_of_16_contenders_for_a_name_exactly_one_wins(self, store: Store) -> None:
        """Each of the others gets a `StoreError`, and the winner's bytes are whole."""
        contents = [bytes([number]) * 4096 for number in range(16)]

        def contend(number: int) -> bool:
            try:
                return store.put(example_name(1), contents[number])
            except StoreError:
                return False

        answers = _at_once(16, contend)
        assert answers.count(True) == 1
        assert store.read(example_name(1)) == contents[answers.index(True)]

    def test_many_threads_store_many_bundles(self, store: Store) -> None:
        """None is lost and none gets another's bytes."""
        _at_once(32, lambda number: store.put(example_name(number), b"%d" % number * 100))
        assert list(store.names()) == [example_name(number) for number in range(32)]
        for number in range(32):
            assert store.read(example_name(number)) == b"%d" % number * 100

    def test_stored_bundle_is_visible_at_once(self, store: Store) -> None:
        """After `put` returns, `exists`, `size` and `names` know the bundle."""
        assert store.exists(example_name(1)) is False
        store.put(example_name(1), _BYTES)
        assert store.exists(example_name(1)) is True
        assert store.size(example_name(1)) == len(_BYTES)
        assert list(store.names()) == [example_name(1)]

    @pytest.mark.parametrize("offset", [0, 1, 255, len(_BYTES) - 1, len(_BYTES)])
    def test_reading_from_an_offset_gives_the_rest(self, store: Store, offset: int) -> None:
        """At the very end the rest is nothing."""
        store.put(example_name(1), _BYTES)
        assert b"".join(store.get(example_name(1), offset=offset)) == _BYTES[offset:]

    @pytest.mark.parametrize("offset", [-1, len(_BYTES) + 1])
    def test_offset_outside_the_bundle_is_refused(self, store: Store, offset: int) -> None:
        """A partial copy that is longer than the bundle isn't one of this bundle."""
        store.put(example_name(1), _BYTES)
        refused = _raised(StoreError, lambda: list(store.get(example_name(1), offset=offset)))
        assert not isinstance(refused, RunNotFound)

    def test_large_bundle_is_kept_whole(self, store: Store) -> None:
        """8 MiB, the first and the second half unlike each other."""
        data = hashlib.shake_256(b"fluxrun").digest(8 << 20)
        assert store.put(example_name(1), data) is True
        assert store.size(example_name(1)) == 8 << 20
        assert hashlib.sha256(store.read(example_name(1))).digest() == hashlib.sha256(data).digest()
        assert b"".join(store.get(example_name(1), offset=5 << 20)) == data[5 << 20 :]

    def test_empty_bundle_is_kept(self, store: Store) -> None:
        """Bytes are opaque to a store, none at all included."""
        assert store.put(example_name(1), b"") is True
        assert store.size(example_name(1)) == 0
        assert store.read(example_name(1)) == b""

    def test_empty_store_lists_nothing(self, store: Store) -> None:
        """Nor is that an error."""
        assert list(store.names()) == []
        assert list(store.names("orders")) == []

    def test_names_are_sorted(self, store: Store) -> None:
        """By code point, whatever the order of arrival, and also where one name begins with another."""
        inner = example_name(5)
        expected = sorted([*(example_name(number) for number in range(5)), inner, example_name(1, entry=inner)])
        for name in reversed(expected):
            store.put(name, b"x")
        assert list(store.names()) == expected

    def test_names_are_chosen_by_prefix(self, store: Store) -> None:
        """The prefix is plain text: it may end inside an entry, and a dot means a dot."""
        for entry in ("orders", "orders.create", "orders-create", "users"):
            store.put(example_name(1, entry=entry), b"x")
        assert list(store.names("orders.")) == [example_name(1, entry="orders.create")]
        assert list(store.names("or")) == sorted(
            example_name(1, entry=entry) for entry in ("orders", "orders.create", "orders-create")
        )
        assert list(store.names(example_name(1, entry="users"))) == [example_name(1, entry="users")]
        assert list(store.names("nothing")) == []

    @pytest.mark.parametrize("name", _REFUSED_NAMES)
    def test_impossible_name_is_refused(self, store: Store, name: str) -> None:
        """By every operation, before the medium is touched, and the error isn't that it is missing."""
        operations: tuple[Callable[[], object], ...] = (
            lambda: store.put(name, b"x"),
            lambda: list(store.get(name)),
            lambda: store.read(name),
            lambda: store.size(name),
            lambda: store.exists(name),
        )
        for operation in operations:
            refused = _raised(StoreError, operation)
            assert not isinstance(refused, RunNotFound)
        assert list(store.names()) == []

    def test_longest_name_is_kept(self, store: Store) -> None:
        """200 characters, of each kind that a name may have."""
        name = example_name(1, entry="_Az09.-_" + "x" * 165)
        assert len(name) == 200
        store.put(name, b"x")
        assert list(store.names()) == [name]
        assert store.read(name) == b"x"

    def test_missing_bundle_is_not_found(self, store: Store) -> None:
        """The error names the bundle and the store; `exists` just says no."""
        store.put(example_name(2), b"x")
        for operation in (
            lambda: list(store.get(example_name(1))),
            lambda: list(store.get(example_name(1), offset=1)),
            lambda: store.size(example_name(1)),
        ):
            missing = _raised(RunNotFound, operation)
            assert example_name(1) in missing.what
            assert store.location in missing.what
            assert missing.next_step
        assert store.exists(example_name(1)) is False

    def test_close_may_be_called_again(self, store: Store) -> None:
        """And a `with` block closes, too."""
        with store as entered:
            assert entered is store
        store.close()
        store.close()

    def test_closed_store_refuses_work(self, store: Store) -> None:
        """With a `StoreError`, not with whatever the medium would say."""
        store.close()
        for operation in (
            lambda: store.put(example_name(1), b"x"),
            lambda: store.read(example_name(1)),
            lambda: store.exists(example_name(1)),
            lambda: list(store.names()),
        ):
            _raised(StoreError, operation)

    def test_location_says_where_without_a_secret(self, store: Store) -> None:
        """It is one line that messages can show; no query and no user name are in it."""
        assert store.location
        assert "\n" not in store.location
        assert "@" not in store.location
        assert "?" not in store.location
        assert store.location in repr(store)
        assert not store.location.endswith(SUFFIX)


def _at_once(count: int, work: Callable[[int], _Result]) -> list[_Result]:
    """Return what `work` gave for 0 to `count` - 1, each called in a thread of its own."""
    with ThreadPoolExecutor(max_workers=count) as pool:
        return list(pool.map(work, range(count)))


def _raised(kind: type[StoreError], operation: Callable[[], object]) -> StoreError:
    with pytest.raises(kind) as caught:
        operation()
    return caught.value
