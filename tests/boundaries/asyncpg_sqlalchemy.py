"""SQLAlchemy's async engine over asyncpg: behaviours for its contract suite."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

from sqlalchemy import ForeignKey, Numeric, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload
from sqlalchemy.types import Text

from conftest import POSTGRES_DATABASE
from tests.boundaries.forwarded import Forwarded

__all__ = ["SQLALCHEMY"]


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "fx_apg_customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    since: Mapped[dt.date]
    orders: Mapped[list[Order]] = relationship(order_by="Order.id")


class Order(Base):
    __tablename__ = "fx_apg_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("fx_apg_customer.id"))
    total: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2))
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))


def engine_of(server: Forwarded) -> Any:
    return create_async_engine(f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/{POSTGRES_DATABASE}")


async def core(server: Forwarded) -> Any:
    engine = engine_of(server)
    async with engine.begin() as connection:
        numbers = text("SELECT g AS n, 'x' || g AS t FROM generate_series(1, :n) g")
        result = await connection.execute(numbers, {"n": 3})
        keys, found = list(result.keys()), [tuple(row) for row in result.all()]
        streamed = [row.n async for row in await connection.stream(numbers, {"n": 5})]
    await engine.dispose()
    return keys, found, streamed


async def orm(server: Forwarded) -> Any:
    engine = engine_of(server)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        customer = Customer(email="a@b.example", since=dt.date(2026, 5, 4))
        customer.orders = [
            Order(total=decimal.Decimal("1.50"), extra={"a": [1]}, tags=["x", "y"]),
            Order(total=decimal.Decimal(2), extra={}, tags=[]),
        ]
        session.add(customer)
        await session.commit()
    async with AsyncSession(engine) as session:
        found = (await session.scalars(select(Customer).options(selectinload(Customer.orders)))).one()
        seen = [(one.id, one.total, one.extra, one.tags) for one in found.orders]
        found.orders[0].total = decimal.Decimal(9)
        await session.commit()
        session.add(Customer(email="a@b.example", since=dt.date(2026, 5, 4)))
        try:
            await session.commit()
        except IntegrityError as error:
            failed = str(error.orig), type(error.orig.__cause__), error.params
            await session.rollback()
        totals = (await session.scalars(select(Order.total).order_by(Order.id))).all()
    await engine.dispose()
    return seen, failed, totals


SQLALCHEMY: dict[str, Callable[[Any], Any]] = {"core, streamed": core, "ORM": orm}
