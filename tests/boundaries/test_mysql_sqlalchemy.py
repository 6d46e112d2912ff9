"""SQLAlchemy's Core, ORM and pools on each driver of MySQL: recorded on a real MariaDB, replayed with it gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from importlib import import_module, util
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from pytest_fluxrun import patching
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.mysql_outside import MySQLOutside

BLOCKING = pytest.mark.parametrize("seams", [("pymysql", "pymysql"), ("mysqldb", "MySQLdb")], indirect=True, ids=str)
AWAITED = pytest.mark.parametrize("seams", [("aiomysql", "aiomysql"), ("asyncmy", "asyncmy")], indirect=True, ids=str)


class Base(DeclarativeBase):
    """Tables of these tests."""


class Author(Base):
    """Has books."""

    __tablename__ = "orm_author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    books: Mapped[list[Book]] = relationship(back_populates="author")


class Book(Base):
    """Has an author."""

    __tablename__ = "orm_book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey(Author.id))
    title: Mapped[str] = mapped_column(sa.String(80))
    price: Mapped[Decimal] = mapped_column(sa.Numeric(8, 2))
    added: Mapped[datetime] = mapped_column(sa.DateTime)
    about: Mapped[Any] = mapped_column(sa.JSON)
    author: Mapped[Author] = relationship(back_populates="books")


@pytest.fixture
def seams(request: pytest.FixtureRequest) -> Iterator[str]:
    """The seams of one driver: the name of SQLAlchemy's dialect for it."""
    name, module = request.param
    if util.find_spec(module) is None:
        pytest.skip(f"{module} isn't installed: mysqlclient is compiled with libmariadb-dev")
    boundary = import_module(f"pytest_fluxrun.boundaries.{name}").boundary
    patching.restore_all()
    for wanted in boundary.modules:
        patching.install(boundary.patches(import_module(wanted)))
    yield name
    patching.restore_all()


@pytest.fixture
def outside(mariadb_port: int) -> Iterator[MySQLOutside]:
    """A database with the tables, behind a port of the test's own."""
    made = MySQLOutside(mariadb_port, "sqlalchemy")
    engine = sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{mariadb_port}/{made.database}?ssl_disabled=1")
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    engine.dispose()
    yield made
    made.close()


def url(dialect: str, outside: MySQLOutside) -> str:
    """Of the database, for an engine."""
    return f"mysql+{dialect}://root@127.0.0.1:{outside.port}/{outside.database}?charset=utf8mb4"


def work(session: Session) -> Any:
    """What a service does: adds, reads, fails, rolls back to a savepoint, bulk inserts."""
    author = Author(name="Åsa")
    added = datetime(2024, 1, 2, 3, 4, 5)
    author.books = [
        Book(title=f"Book {number}", price=Decimal("9.90") + number, added=added, about={"pages": [1, number]})
        for number in range(3)
    ]
    session.add(author)
    session.flush()
    try:
        with session.begin_nested():
            session.add(Author(name="Åsa"))
            session.flush()
    except sa.exc.IntegrityError as error:
        failed = [type(error.orig).__name__, error.orig.args, error.params]
    session.commit()
    session.execute(sa.insert(Author), [{"name": f"a{number}"} for number in range(4)])
    session.execute(sa.update(Author).where(Author.name == "a0").values(name="changed"))
    session.commit()
    found = session.scalars(sa.select(Author).options(selectinload(Author.books)).where(Author.name.in_(["Åsa"]))).all()
    rows = [[book.title, book.price, book.added, book.about] for one in found for book in one.books]
    counted = session.execute(sa.select(sa.func.count(), sa.func.max(Author.name)).select_from(Author)).one()
    streamed = session.execute(sa.select(Book.title).order_by(Book.id).execution_options(yield_per=2)).scalars().all()
    return [author.id, failed, rows, tuple(counted), streamed, session.scalar(sa.text("SELECT VERSION()"))]


def served(dialect: str, outside: MySQLOutside, **settings: Any) -> Any:
    """The work on an engine of its own, which connects and asks what its dialect wants to know."""
    engine = sa.create_engine(url(dialect, outside), **settings)
    try:
        with Session(engine) as session:
            return [work(session), engine.dialect.server_version_info, engine.dialect.is_mariadb]
    finally:
        engine.dispose()


def aserved(dialect: str, outside: MySQLOutside, **settings: Any) -> Any:
    """`served` on an engine that is awaited."""

    async def run() -> Any:
        engine = create_async_engine(url(dialect, outside), **settings)
        try:
            async with async_sessionmaker(engine)() as session:
                return [await session.run_sync(work), engine.dialect.server_version_info]
        finally:
            await engine.dispose()

    return asyncio.run(run())


def replayed(function: Callable[..., Any], dialect: str, outside: MySQLOutside, **settings: Any) -> None:
    """Record it, take the server away, replay it."""
    recorder = MemoryRecorder()
    with recorder.open():
        expected = function(dialect, outside, **settings)
    recorded = recorder.finish()
    outside.take_away()
    hits = outside.calls()
    replayer = MemoryReplayer(recorded)

    with replayer.open():
        actual = function(dialect, outside, **settings)

    assert replayer.unrecorded is None, str(replayer.unrecorded)
    assert expected == actual
    assert replayer.unplayed() == []
    assert hits == outside.calls()


@BLOCKING
@pytest.mark.parametrize("settings", [{}, {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"}], ids=str)
def test_orm_on_a_blocking_driver(seams: str, outside: MySQLOutside, settings: dict[str, Any]) -> None:
    """Unit of work, savepoints, bulk inserts, streams and the dialect's own questions come back equal."""
    replayed(served, seams, outside, **settings)


@AWAITED
@pytest.mark.parametrize("settings", [{}, {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"}], ids=str)
def test_orm_on_an_awaited_driver(seams: str, outside: MySQLOutside, settings: dict[str, Any]) -> None:
    """Likewise through SQLAlchemy's greenlets."""
    replayed(aserved, seams, outside, **settings)


@BLOCKING
def test_pool_from_before_the_run(seams: str, outside: MySQLOutside) -> None:
    """A pool that was filled before a recorded run serves a replay that fills its own, and one that has it still."""
    engine = sa.create_engine(url(seams, outside))
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    recorder = MemoryRecorder()
    with recorder.open(), Session(engine) as session:
        expected = work(session)
    recorded = recorder.finish()
    hits = outside.calls()

    with MemoryReplayer(recorded).open(), Session(engine) as session:
        with_the_pool = work(session)
    after = outside.calls()
    with Session(engine) as session:
        live = session.scalar(sa.select(sa.func.count()).select_from(Author))
    engine.dispose()

    assert expected == with_the_pool
    assert hits == after
    assert live == 5
