"""SQLAlchemy and Django over psycopg2: behaviours for their contract suites."""

from __future__ import annotations

import datetime as dt
import decimal
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django.db
from django.db import models
from sqlalchemy import ForeignKey, Numeric, create_engine, inspect, select, text
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE, JSONB, Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.types import Text

from conftest import POSTGRES_DATABASE
from tests.boundaries.forwarded import Forwarded
from tests.django_settings import configure

__all__ = ["DJANGO", "SQLALCHEMY"]


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "fx_pg2_customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    since: Mapped[dt.datetime]
    orders: Mapped[list[Order]] = relationship(order_by="Order.id")


class Order(Base):
    __tablename__ = "fx_pg2_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("fx_pg2_customer.id"))
    total: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2))
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    between: Mapped[Any] = mapped_column(INT4RANGE)


def engine_of(server: Forwarded) -> Any:
    return create_engine(f"postgresql+psycopg2://postgres@127.0.0.1:{server.port}/{POSTGRES_DATABASE}")


def core(server: Forwarded) -> Any:
    engine = engine_of(server)
    with engine.begin() as connection:
        numbers = text("SELECT g AS n, 'x' || g AS t FROM generate_series(1, :n) g")
        result = connection.execute(numbers, {"n": 3})
        keys, found = list(result.keys()), [tuple(row) for row in result.all()]
        streamed = [row.n for row in connection.execution_options(stream_results=True).execute(numbers, {"n": 5})]
    names = [name for name in inspect(engine).get_table_names(schema="pg_catalog") if name == "pg_class"]
    engine.dispose()
    return keys, found, streamed, names


def orm(server: Forwarded) -> Any:
    engine = engine_of(server)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        customer = Customer(email="a@b.example", since=dt.datetime(2026, 5, 4))
        customer.orders = [
            Order(total=decimal.Decimal("1.50"), extra={"a": [1]}, tags=["x", "y"], between=Range(1, 5)),
            Order(total=decimal.Decimal(2), extra={}, tags=[], between=Range(empty=True)),
        ]
        session.add(customer)
        session.commit()
    with Session(engine) as session:
        found = session.scalars(select(Customer)).one()
        seen = [(one.id, one.total, one.extra, one.tags, one.between) for one in found.orders]
        found.orders[0].total = decimal.Decimal(9)
        session.commit()
        session.add(Customer(email="a@b.example", since=found.since))
        try:
            session.commit()
        except IntegrityError as error:
            failed = str(error.orig), type(error.orig), error.orig.diag.constraint_name, error.params["email"]
            session.rollback()
        totals = session.scalars(select(Order.total).order_by(Order.id)).all()
    engine.dispose()
    return seen, failed, totals


configure()


def _backend() -> Any:
    """Django's backend for psycopg2, which it takes where there is no psycopg 3; other tests have it for that."""
    package = "django.db.backends.postgresql"
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(package)}
    hidden = sys.modules.get("psycopg")
    sys.modules["psycopg"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(f"{package}.base").DatabaseWrapper
    finally:
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]
        sys.modules.update(others)
        del sys.modules["psycopg"]
        if hidden is not None:
            sys.modules["psycopg"] = hidden


DatabaseWrapper = _backend()


class Person(models.Model):
    name = models.CharField(max_length=40, unique=True)
    born = models.DateTimeField()
    facts = models.JSONField(default=dict)

    class Meta:
        app_label = "fx_pg2"
        db_table = "fx_pg2_person"

    def __str__(self) -> str:
        return self.name


@contextmanager
def django_database(server: Forwarded) -> Iterator[str]:
    """A connection of Django's under an alias of its own."""
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": POSTGRES_DATABASE,
        "USER": "postgres",
        "PASSWORD": "",
        "HOST": "127.0.0.1",
        "PORT": str(server.port),
    }
    connections = django.db.connections
    connections.settings["fx_pg2"] = connections.configure_settings({"default": {}, "fx_pg2": settings})["fx_pg2"]
    connections["fx_pg2"] = DatabaseWrapper(connections.settings["fx_pg2"], "fx_pg2")
    try:
        yield "fx_pg2"
    finally:
        connections["fx_pg2"].close()
        del connections["fx_pg2"]
        del connections.settings["fx_pg2"]


def models_(server: Forwarded) -> Any:
    with django_database(server) as alias:
        connection = django.db.connections[alias]
        with connection.schema_editor() as editor:
            editor.execute("DROP TABLE IF EXISTS fx_pg2_person")
            editor.create_model(Person)
        people = Person.objects.using(alias)
        born = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
        people.create(name="Ann", born=born, facts={"a": [1, None]})
        people.bulk_create([Person(name=f"P{number}", born=born) for number in range(3)])
        try:
            with django.db.transaction.atomic(using=alias):
                people.create(name="Ann", born=born)
        except django.db.IntegrityError as error:
            failed = str(error), type(error.__cause__)
        with django.db.transaction.atomic(using=alias):
            people.filter(name="P1").update(name="Q1")
            locked = [person.name for person in people.select_for_update().order_by("name")]
        found = [(one.name, one.born, one.facts) for one in people.filter(facts__a__0=1).iterator(chunk_size=2)]
        version = connection.pg_version // 10000 > 9, connection.get_autocommit(), connection.is_usable()
        return (
            failed,
            locked,
            found,
            people.count(),
            version,
            connection.introspection.table_names(include_views=False)[:0],
        )


SQLALCHEMY: dict[str, Callable[[Any], Any]] = {"core, streamed, inspected": core, "ORM": orm}
DJANGO: dict[str, Callable[[Any], Any]] = {"models": models_}
