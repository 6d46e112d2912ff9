"""The tables and the two engines over one SQLite file. Holds no rule of the business."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, ForeignKey, String, TypeDecorator, create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from shop.settings import DATABASE_PATH

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite stores no offset: it is dropped on the way in and put back on the way out."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into the naive UTC one that is stored."""
        del dialect
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn the stored naive moment into an aware one."""
        del dialect
        return value.replace(tzinfo=UTC) if value else None


class Base(DeclarativeBase):
    """The base of every table; a bare `Mapped[datetime]` is a moment in UTC."""

    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012  (SQLAlchemy reads it from the class)


class Product(Base):
    """Something for sale."""

    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str]
    price_cents: Mapped[int]


class Coupon(Base):
    """A code that takes a share off an order until it expires, and quietly for a while longer."""

    __tablename__ = "coupons"

    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    percent: Mapped[int]
    uses: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    honoured_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Order(Base):
    """A paid order; amounts are in cents of `currency`."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    email: Mapped[str]
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"))
    quantity: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    total_cents: Mapped[int]
    discount_percent: Mapped[int]
    charge_id: Mapped[str]
    status: Mapped[str] = mapped_column(default="paid")
    created_at: Mapped[datetime]


class Receipt(Base):
    """A receipt that was mailed."""

    __tablename__ = "receipts"

    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    number: Mapped[str]
    sent_at: Mapped[datetime]


class PaymentEvent(Base):
    """A webhook event that was taken in; the primary key keeps a second delivery out."""

    __tablename__ = "payment_events"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str]
    received_at: Mapped[datetime]


engine = create_engine(f"sqlite:///{DATABASE_PATH}", connect_args={"timeout": 10})
async_engine = create_async_engine(f"sqlite+aiosqlite:///{DATABASE_PATH}", connect_args={"timeout": 10})

open_session: sessionmaker[Session] = sessionmaker(engine, expire_on_commit=False)
open_async_session: async_sessionmaker[AsyncSession] = async_sessionmaker(async_engine, expire_on_commit=False)


async def start() -> None:
    """Create the tables, put the first goods on the shelf, and see that both engines answer."""
    with engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
    Base.metadata.create_all(engine)
    with open_session.begin() as session:
        if not session.scalar(select(func.count()).select_from(Product)):
            session.add_all(_first_goods(datetime.now(UTC)))
    async with open_async_session() as async_session:
        await async_session.scalar(select(func.count()).select_from(Coupon))


async def stop() -> None:
    """Close every connection."""
    engine.dispose()
    await async_engine.dispose()


def _first_goods(now: datetime) -> list[Base]:
    day = timedelta(days=1)
    return [
        Product(sku="mug", name="Mug", price_cents=1200),
        Product(sku="tea", name="Green tea, 100 g", price_cents=850),
        Product(sku="pot", name="Teapot", price_cents=4900),
        Coupon(code="WELCOME", percent=10, expires_at=now + 30 * day, honoured_until=now + 37 * day),
        Coupon(code="SPRING", percent=20, expires_at=now - 30 * day, honoured_until=now - 23 * day),
        Coupon(code="LASTWEEK", percent=15, expires_at=now - 2 * day, honoured_until=now + 5 * day),
    ]
