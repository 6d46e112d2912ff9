"""Values: what goes in comes out, through JSON, and what can't be held says so."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import ipaddress
import math
import pathlib
import smtplib
import threading
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, TypeAdapter, field_validator

from pytest_fluxrun.errors import DamagedBundle, OpaqueValue, RecordedError, ValueNotEncodable
from pytest_fluxrun.values import (
    decode,
    dump_error,
    encode,
    encode_or_opaque,
    has_opaque,
    load_error,
    opaque_names,
    plain,
    snapshot,
)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2


class Point(NamedTuple):
    x: int
    colour: Colour


class Markup(str):
    __slots__ = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    points: list[Point]
    note: str = ""


@dataclasses.dataclass
class Basket:
    lines: dict[str, Line]
    total: Decimal = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.total = Decimal(len(self.lines))


class Order(BaseModel):
    id: str
    basket: Basket
    at: dt.datetime
    level: Level = Level.HIGH
    _seen: int = PrivateAttr(default=0)

    @field_validator("id")
    @classmethod
    def once(cls, given: str) -> str:
        return f"{given}!"


class Rush(Order):
    model_config = ConfigDict(extra="allow")
    courier: str = "bike"


class Failure(Exception):
    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"failed with {code}")
        self.code = code
        self.detail = detail


class Slotted(Exception):
    __slots__ = ("code",)


def through_json(obj: Any) -> Any:
    return orjson.loads(orjson.dumps(encode(obj)))


def through(obj: Any, annotation: Any = Any) -> Any:
    return decode(through_json(obj), annotation)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # the error with its traceback and context
        return load_error(orjson.loads(orjson.dumps(dump_error(caught))))


PARIS = zoneinfo.ZoneInfo("Europe/Paris")
EXAMPLES = [
    None,
    True,
    0,
    2**63,
    -(2**63) - 1,
    1.5,
    -0.0,
    1e22,
    math.inf,
    "plain",
    "é\u2028",
    "lone \ud800",
    b"\x00\xff",
    bytearray(b"a"),
    Decimal("1.10"),
    Decimal("NaN"),
    Decimal("-0E-5"),
    dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, 1, 2, 3, 4),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(-dt.timedelta(seconds=1), "odd")),
    TypeAdapter(dt.datetime).validate_python("2024-01-01T00:00:00+02:00"),
    TypeAdapter(dt.datetime).validate_python("2024-01-01T00:00:00Z"),
    dt.date.max,
    dt.time(1, 2, 3, 4),
    dt.time(1, tzinfo=dt.UTC, fold=1),
    dt.timedelta(-1, 3, 5),
    uuid.UUID(int=5),
    ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_network("2001:db8::/32"),
    ipaddress.ip_interface("10.0.0.1/8"),
    pathlib.Path("/srv/x"),
    pathlib.PureWindowsPath("c:/x"),
    complex(1, -0.0),
    range(1, 9, 2),
    [1, [2]],
    (1, (2,)),
    {1, 2},
    frozenset({("a", 1)}),
    {"a": [b"x"]},
    {1: 2, (1, 2): "x"},
    {"~": "tag"},
    {"lone \ud800": 1},
    OrderedDict(b=1, a=2),
    Counter("aab"),
    defaultdict(list, {"a": [1]}),
    deque([1, 2], maxlen=3),
]


@pytest.mark.parametrize("obj", EXAMPLES, ids=lambda obj: type(obj).__name__)
def test_each_type_comes_back_as_it_was(obj: Any) -> None:
    """Same value, same type, same representation, after a trip through JSON text."""
    back = through(obj)
    assert type(back) is type(obj)
    assert back == obj or repr(back) == repr(obj)
    assert str(back) == str(obj)


def test_a_number_beyond_what_str_converts_comes_back() -> None:
    """Python refuses to print more than 4,300 digits."""
    assert through(10**5000) == 10**5000


def test_nan_comes_back() -> None:
    """NaN isn't JSON and isn't equal to itself."""
    assert math.isnan(through(math.nan))


def test_memoryview_comes_back_as_one() -> None:
    """A view of bytes is a view again; a view of anything else is refused."""
    assert through(memoryview(b"ab")).tobytes() == b"ab"
    with pytest.raises(ValueNotEncodable):
        encode(memoryview(b"abcdabcd").cast("I"))


JSON_KEYS = st.text() | st.integers() | st.booleans() | st.tuples(st.text(), st.integers())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.uuids(),
    lambda inner: st.lists(inner) | st.dictionaries(JSON_KEYS, inner) | st.tuples(inner, inner) | st.sets(st.text()),
    max_leaves=20,
)


@given(VALUES)
def test_any_nesting_comes_back(obj: Any) -> None:
    """Whatever is made of the closed set survives the trip."""
    assert repr(through(obj)) == repr(obj) or through(obj) == obj


def test_sets_encode_the_same_in_every_process() -> None:
    """The order of a set's members depends on the hash seed; their encoding doesn't."""
    assert encode({"b", "a", "c"}) == {"~": "set", "v": ["a", "b", "c"]}


def test_typed_objects_come_back_through_the_annotation() -> None:
    """Models, dataclasses, named tuples and enums, nested, with the validators not run again."""
    order = Order(id="o", basket=Basket({"l": Line([Point(1, Colour.RED)])}), at="2024-01-01T00:00:00Z")
    order._seen = 7

    back = through([order], list[Order])[0]

    assert back == order
    assert (back.id, back._seen, back.model_fields_set) == ("o!", 7, order.model_fields_set)
    assert type(back.basket.lines["l"].points[0]) is Point


def test_a_subclass_is_found_below_the_annotated_class() -> None:
    """`-> Order` may answer a Rush, with extra fields."""
    rush = Rush(id="o", basket=Basket({}), at="2024-01-01T00:00:00Z", fee=3)

    back = through(rush, Order | None)

    assert (type(back), back) == (Rush, rush)


def test_a_str_subclass_keeps_its_class_or_is_refused() -> None:
    """A str that escapes itself must not come back as a plain one."""
    assert type(through(Markup("<b>"), Markup)) is Markup
    with pytest.raises(OpaqueValue):
        through(Markup("<b>"))


def test_a_typed_object_without_an_annotation_is_refused() -> None:
    """The name in the recording leads to no class: only the live annotation does."""
    with pytest.raises(OpaqueValue, match=r"recorded \S*test_values\.Point can't be given back") as caught:
        through(Point(1, Colour.RED))
    assert "annotate what the call returns" in caught.value.next_step


def test_a_renamed_class_is_rebuilt_from_the_fields() -> None:
    """Where the recorded name is gone, pydantic reads the fields into today's annotation."""
    recorded = orjson.loads(orjson.dumps(encode(Line([]))).replace(b"Line", b"Row"))

    assert decode(recorded, Line) == Line([])


def test_a_class_that_lost_a_field_is_refused() -> None:
    """A recorded field that the live dataclass lacks is an error that names it."""
    recorded = orjson.loads(orjson.dumps(encode(Line([]))).replace(b"note", b"memo"))

    with pytest.raises(OpaqueValue, match="no field 'memo'"):
        decode(recorded, Line)


def test_the_unencodable_is_refused_or_marked() -> None:
    """`encode` raises and names the class; `encode_or_opaque` marks the place and keeps the rest."""
    lock = threading.Lock()
    with pytest.raises(ValueNotEncodable, match=r"a _thread\.lock can't be recorded"):
        encode([lock])

    marked = encode_or_opaque({"a": 1, "lock": lock})

    assert marked == {"a": 1, "lock": {"~": "opaque", "v": "_thread.lock"}}
    assert (has_opaque(marked), list(opaque_names(marked)), has_opaque({"a": [1]})) == (True, ["_thread.lock"], False)
    assert plain(marked) == {"a": 1, "lock": "<_thread.lock>"}
    with pytest.raises(OpaqueValue, match=r"recorded _thread\.lock"):
        decode(marked)


def test_what_no_annotation_rebuilds_is_opaque_at_once() -> None:
    """With the annotation at hand, a run knows when it is recorded that its replay would fail."""
    assert has_opaque(encode_or_opaque([Colour.RED], rebuilt_by=list[Point])) is False
    assert has_opaque(encode_or_opaque([Colour.RED], rebuilt_by=list[int])) is True


def test_an_object_that_raises_when_read_is_opaque() -> None:
    """Recording never raises into the host, whatever its objects do."""

    @dataclasses.dataclass
    class Angry:
        x: int = 1

        def __getattribute__(self, name: str) -> Any:
            if name == "x":
                raise ZeroDivisionError
            return super().__getattribute__(name)

    assert has_opaque(encode_or_opaque([Angry()])) is True


def test_cycles_and_depth_are_bounded() -> None:
    """A list in itself is refused, and opaque as a whole where nothing may raise."""
    ring: list[Any] = []
    ring += [ring, ring]
    with pytest.raises(ValueNotEncodable, match="deeper than 64"):
        encode(ring)
    assert encode_or_opaque(ring) == {"~": "opaque", "v": "builtins.list"}
    deep: Any = 1
    for _ in range(60):
        deep = {(1,): deep}
    assert through(deep) == deep


@pytest.mark.parametrize(
    "value",
    [
        {"~": "nonsense", "v": 1},
        {"~": "bytes"},
        {"~": "Decimal", "v": "x"},
        {"~": "dict", "v": [[1]]},
        {"~": [], "v": 1},
    ],
)
def test_what_is_no_value_is_damaged(value: Any) -> None:
    """Unknown tags and broken contents give one typed error."""
    with pytest.raises(DamagedBundle, match="can't be read"):
        decode(value)


def test_plain_shows_fields_without_classes() -> None:
    """For comparing and showing, typed objects are their contents."""
    assert plain(encode([Point(1, Colour.RED)])) == [{"x": 1, "colour": "red"}]


def test_snapshot_holds_what_was_and_shares_what_cannot_change() -> None:
    """The app goes on changing its own objects; immutable ones are not copied."""
    text, inner = "x" * 100, {"k": [1]}
    original = [inner, (1, inner), bytearray(b"a"), Basket({}), text, (1, 2)]

    taken = snapshot(original)
    inner["k"].append(2)
    original[2].extend(b"b")
    original[3].lines["new"] = Line([])

    assert taken[:4] == [{"k": [1]}, (1, {"k": [1]}), bytearray(b"a"), Basket({})]
    assert taken[4] is text
    assert taken[5] is original[5]
    assert taken[0] is taken[1][1]


ERRORS = [
    KeyError("a"),
    ValueError(),
    FileNotFoundError(2, "no such file", "x.txt"),
    OSError(104, "reset"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ImportError("gone", name="shop"),
    StopIteration(5),
    Failure(3, detail="late"),
    ExceptionGroup("both", [ValueError(1), Failure(2, detail="x")]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_come_back(error: BaseException) -> None:
    """Same type, arguments, message and attributes, and no constructor of the app ran."""
    back = raised(error)

    assert (type(back), str(back), repr(back)) == (type(error), str(error), repr(error))
    assert vars(back) == vars(error)
    for name in ("errno", "filename", "name", "value", "reason"):
        assert getattr(back, name, None) == getattr(error, name, None)


def test_slots_notes_and_causes_come_back() -> None:
    """What an error carries beside its arguments."""
    error = Slotted("x")
    error.code = 9
    error.add_note("seen twice")
    error.__cause__ = ValueError("root")

    back = raised(error)

    assert (back.code, back.__notes__, repr(back.__cause__)) == (9, ["seen twice"], "ValueError('root')")
    assert back.__suppress_context__ is True


def test_attributes_that_cannot_be_encoded_are_named() -> None:
    """They are left out, and the error says which."""
    error = Failure(1, detail="x")
    error.lock = threading.Lock()

    assert dump_error(error)["left_out"] == ["lock"]
    assert vars(load_error(dump_error(error))) == {"code": 1, "detail": "x"}


def test_an_error_of_decimal_holds_its_signals_again() -> None:
    """Its argument is a list of classes."""
    with pytest.raises(InvalidOperation) as caught:
        Decimal("1e28").quantize(Decimal("0.01"))

    back = load_error(orjson.loads(orjson.dumps(dump_error(caught.value))))

    assert (caught.value.args, str(caught.value)) == (back.args, str(back))


def test_a_chain_that_meets_itself_is_cut() -> None:
    """Two errors that are each other's context end."""
    first, second = ValueError(1), TypeError(2)
    first.__context__, second.__context__ = second, first

    assert repr(load_error(dump_error(first)).__context__) == "TypeError(2)"


@pytest.mark.parametrize("name", ["not_loaded:Gone", "builtins:int", "os:path", "pytest_fluxrun.errors:nothing.here"])
def test_only_loaded_exception_classes_are_built(name: str) -> None:
    """No import, no other class: a stand-in that shows the name and the message."""
    value = {**dump_error(ValueError("text")), "type": name}

    back = load_error(value)

    assert (type(back), back.type_name, back.message) == (RecordedError, name, "text")


def test_a_stand_in_is_dumped_as_what_it_stands_for() -> None:
    """An outcome that holds one is equal to the recorded one."""
    value = {**dump_error(ValueError("text")), "type": "not_loaded:Gone"}

    again = dump_error(load_error(value))

    assert ("not_loaded:Gone", "text") == (again["type"], again["message"])


def test_a_constructor_in_c_gives_a_stand_in() -> None:
    """Pydantic's ValidationError can't be made from arguments."""
    with pytest.raises(ValueError, match="valid integer") as caught:
        TypeAdapter(int).validate_python("x")

    back = load_error(dump_error(caught.value))

    assert (type(back), back.type_name) == (RecordedError, "pydantic_core._pydantic_core:ValidationError")


def test_third_argument_of_an_app_s_os_error_is_no_file_name() -> None:
    """Those of smtplib are OSErrors; the arguments of one are what its own constructor left."""
    error = smtplib.SMTPSenderRefused(550, b"no", "a@example.org")

    back = load_error(dump_error(error))

    assert isinstance(back, smtplib.SMTPSenderRefused)
    assert error.args == back.args
    assert back.filename is None
    assert vars(error) == vars(back)


def test_a_damaged_error_is_typed() -> None:
    """Missing parts don't surface as KeyError."""
    with pytest.raises(DamagedBundle, match="recorded error can't be read"):
        load_error({"type": "builtins:ValueError"})
