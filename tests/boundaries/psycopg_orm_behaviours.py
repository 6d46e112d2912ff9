"""Programs with SQLAlchemy, SQLModel and Django on psycopg: a few meaty ones, each returns what can be compared."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import django
import django.db
import sqlalchemy as sa
import sqlmodel
from django.db import models
from django.db.backends.postgresql.base import DatabaseWrapper
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.django_settings import configure

# -- SQLAlchemy

METADATA = sa.MetaData()
ORDERS = sa.Table(
    "fx_orders",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer", sa.String(50), nullable=False, unique=True),
    sa.Column("total", sa.Numeric(10, 2)),
    sa.Column("lines", postgresql.JSONB),
    sa.Column("tags", postgresql.ARRAY(sa.Text)),
    sa.Column("token", postgresql.UUID(as_uuid=True)),
    sa.Column("placed", sa.DateTime(timezone=True)),
)
_PLACED = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
_ROWS = [
    {
        "customer": f"customer {number}",
        "total": Decimal(number) / 4,
        "lines": [{"sku": number, "note": None}],
        "tags": ["a", f"t{number}"],
        "token": uuid.UUID(int=number),
        "placed": _PLACED + dt.timedelta(days=number),
    }
    for number in range(1, 6)
]


@contextlib.contextmanager
def engine(outside: Any, **settings: Any) -> Any:
    """An engine with fresh tables."""
    made = sa.create_engine(outside.url, **settings)
    try:
        METADATA.drop_all(made)
        METADATA.create_all(made)
        yield made
    finally:
        made.dispose()


def core(outside: Any) -> Any:
    with engine(outside) as made:
        with made.begin() as connection:
            ids = connection.execute(ORDERS.insert().returning(ORDERS.c.id), _ROWS).all()
            updated = connection.execute(
                ORDERS.update().where(ORDERS.c.id.in_([1, 3, 5])).values(total=ORDERS.c.total + 1)
            ).rowcount
        with made.connect() as connection:
            rows = connection.execute(sa.select(ORDERS).order_by(ORDERS.c.id)).mappings().all()
            sums = connection.execute(
                sa.select(sa.func.sum(ORDERS.c.total), sa.func.max(ORDERS.c.placed)).where(
                    ORDERS.c.lines.contains([{"sku": 2}]) | ORDERS.c.tags.any("t3")
                )
            ).one()
            streamed = [
                [tuple(row) for row in part]
                for part in connection.execution_options(yield_per=2)
                .execute(sa.select(ORDERS.c.id).order_by(ORDERS.c.id))
                .partitions()
            ]
        return [ids, updated, [dict(row) for row in rows], tuple(sums), streamed, made.dialect.server_version_info]


def core_fails(outside: Any) -> Any:
    with engine(outside, pool_pre_ping=True) as made:
        found = []
        with made.connect() as connection:
            connection.execute(ORDERS.insert(), _ROWS[0])
            try:
                with connection.begin_nested():
                    connection.execute(ORDERS.insert(), _ROWS[0])
            except sa.exc.IntegrityError as error:
                found.append([str(error.orig), error.orig.diag.constraint_name, error.statement])
            connection.commit()
        with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            found.append(connection.execute(sa.select(sa.func.count()).select_from(ORDERS)).scalar_one())
            found.append(connection.get_isolation_level())
        with made.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
            found.append(connection.execute(sa.text("SHOW transaction_isolation")).scalar())
        found.append(sorted(sa.inspect(made).get_table_names()))
        found.append([str(column["type"]) for column in sa.inspect(made).get_columns("fx_orders")])
        return found


class Base(orm.DeclarativeBase):
    """Of the mapped classes."""


class Author(Base):
    """A parent."""

    __tablename__ = "fx_author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    """A child with a version."""

    __tablename__ = "fx_book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]
    price: orm.Mapped[Decimal | None]
    version = orm.mapped_column(sa.Integer, nullable=False)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("fx_author.id"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own way


def mapped(outside: Any) -> Any:
    made = sa.create_engine(outside.url)
    try:
        Base.metadata.drop_all(made)
        Base.metadata.create_all(made)
        with orm.Session(made) as session, session.begin():
            session.add(Author(name="Ada", books=[Book(title="One", price=Decimal("1.5")), Book(title="Two")]))
            session.add(Author(name="Ben"))
        with orm.Session(made) as session:
            ada = session.scalars(sa.select(Author).where(Author.name == "Ada")).one()
            ada.books[0].title = "One, revised"
            del ada.books[1]
            with session.begin_nested():
                session.add(Book(title="Three", author=ada))
            session.commit()
            found = [(book.title, book.version, book.price) for book in ada.books]
            joined = session.execute(
                sa.select(Author.name, sa.func.count(Book.id))
                .outerjoin(Book)
                .group_by(Author.name)
                .order_by(Author.name)
            ).all()
            session.execute(sa.update(Book).where(Book.title == "Three").values(price=3))
            session.rollback()
            loaded = session.scalars(
                sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)
            ).all()
            return [found, [tuple(row) for row in joined], [(one.name, len(one.books)) for one in loaded]]
    finally:
        made.dispose()


async def mapped_async(outside: Any) -> Any:
    made = create_async_engine(outside.url)
    try:
        async with made.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(made) as session, session.begin():
            session.add(Author(name="Ada", books=[Book(title=f"Book {number}") for number in range(3)]))
        async with AsyncSession(made) as session:
            query = sa.select(Author).options(orm.selectinload(Author.books))
            ada = (await session.scalars(query)).one()
            titles = [book.title for book in ada.books]
            streamed = [row.title async for row in await session.stream(sa.select(Book.title).order_by(Book.id))]
            try:
                session.add(Book(title="orphan", author_id=99))
                await session.flush()
            except sa.exc.IntegrityError as error:
                failed = str(error.orig)
            await session.rollback()
            count = await session.scalar(sa.select(sa.func.count(Book.id)))
        return [titles, streamed, failed, count]
    finally:
        await made.dispose()


class Hero(sqlmodel.SQLModel, table=True):
    """A model of SQLModel's."""

    __tablename__ = "fx_hero"
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    name: str = sqlmodel.Field(index=True)
    age: int | None = None
    since: dt.datetime | None = None


def sqlmodels(outside: Any) -> Any:
    made = sqlmodel.create_engine(outside.url)
    try:
        Hero.__table__.drop(made, checkfirst=True)
        Hero.__table__.create(made)
        with sqlmodel.Session(made) as session:
            session.add_all([Hero(name=name, age=age) for name, age in (("Deadpond", None), ("Rusty", 48))])
            session.add(Hero(name="Now", since=dt.datetime(2024, 1, 1)))
            session.commit()
            rusty = session.exec(sqlmodel.select(Hero).where(Hero.name == "Rusty")).one()
            rusty.age = 49
            session.add(rusty)
            session.commit()
            session.refresh(rusty)
            found = session.exec(sqlmodel.select(Hero).order_by(Hero.id)).all()
            return [rusty.model_dump(), [hero.model_dump() for hero in found]]
    finally:
        made.dispose()


# -- Django

configure()
django.setup()


class Shelf(models.Model):  # noqa: DJ008 - nobody reads it
    """A parent."""

    name = models.CharField(max_length=40, unique=True)

    class Meta:
        """Of no installed app."""

        app_label = "fx_psycopg"


class Volume(models.Model):  # noqa: DJ008 - nobody reads it
    """A child with fields of many types."""

    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="volumes")
    title = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    bought = models.DateTimeField(null=True)
    data = models.JSONField(default=dict)
    raw = models.BinaryField(null=True)
    code = models.UUIDField(null=True)
    took = models.DurationField(null=True)

    class Meta:
        """Of no installed app."""

        app_label = "fx_psycopg"


def with_django(function: Callable[[Any], Any], **options: Any) -> Callable[[Any], Any]:
    """An exercise on a connection of Django's postgresql backend, as the alias default, with fresh tables."""

    def exercise(outside: Any) -> Any:
        settings = {
            **django.db.connections["default"].settings_dict,
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "test",
            "USER": "postgres",
            "PASSWORD": "",
            "HOST": "127.0.0.1",
            "PORT": str(outside.port),
            "OPTIONS": {"options": f"-c search_path={outside.schema},public", **options},
        }
        before = django.db.connections["default"]
        connection = django.db.connections["default"] = DatabaseWrapper(settings, "default")
        try:
            with connection.schema_editor() as editor:
                for model in (Volume, Shelf):
                    connection.cursor().execute(f"DROP TABLE IF EXISTS {model._meta.db_table} CASCADE").close()
                for model in (Shelf, Volume):
                    editor.create_model(model)
            return function(connection)
        finally:
            connection.close()
            django.db.connections["default"] = before

    return exercise


def models_(connection: Any) -> Any:
    shelf = Shelf.objects.create(name="first")
    Volume.objects.bulk_create(
        [
            Volume(
                shelf=shelf,
                title=f"it's {number}%",
                price=Decimal(number) / 2,
                bought=_PLACED,
                data={"n": [number, None]},
                raw=bytes([number, 255]),
                code=uuid.UUID(int=number),
                took=dt.timedelta(minutes=number),
            )
            for number in range(4)
        ]
    )
    volumes = list(Volume.objects.select_related("shelf").order_by("id"))
    first = volumes[0]
    first.title = "changed"
    first.save(update_fields=["title"])
    found = [
        (one.title, one.price, one.bought, one.data, bytes(one.raw), one.code, one.took, one.shelf.name)
        for one in volumes
    ]
    totals = Volume.objects.aggregate(models.Sum("price"), models.Count("id"), models.Max("bought"))
    filtered = list(Volume.objects.filter(data__n__contains=[2], title__icontains="IT'S").values_list("title", "took"))
    counted = list(Shelf.objects.annotate(n=models.Count("volumes")).values("name", "n"))
    got = Shelf.objects.get_or_create(name="first"), Shelf.objects.update_or_create(name="new", defaults={})
    return [found, totals, filtered, counted, [(one.name, made) for one, made in got], shelf.delete()[0]]


def atomic(connection: Any) -> Any:
    from django.db import IntegrityError, transaction

    found: list[Any] = []
    with transaction.atomic():
        Shelf.objects.create(name="kept")
        try:
            with transaction.atomic():
                Shelf.objects.create(name="kept")
        except IntegrityError as error:
            found.append([str(error), error.__cause__.diag.constraint_name])
        locked = Shelf.objects.select_for_update().get(name="kept")
        found.append([locked.name, connection.in_atomic_block])
        transaction.on_commit(lambda: found.append("committed"))
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        Shelf.objects.all().delete()
        raise ZeroDivisionError
    return [found, list(Shelf.objects.values_list("name", flat=True)), connection.queries_logged]


def iterated(connection: Any) -> Any:
    Shelf.objects.bulk_create([Shelf(name=f"shelf {number}") for number in range(25)])
    found = [one.name for one in Shelf.objects.order_by("id").iterator(chunk_size=10)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, %s::int FROM fx_psycopg_shelf WHERE id <= %s ORDER BY id", [7, 2])
        raw = [cursor.fetchall(), [column.name for column in cursor.description], cursor.rowcount]
        cursor.executemany("INSERT INTO fx_psycopg_shelf (name) VALUES (%s)", [("x",), ("y",)])
    return [
        found,
        raw,
        Shelf.objects.count(),
        connection.pg_version // 10000,
        sorted(connection.introspection.table_names()),
    ]
