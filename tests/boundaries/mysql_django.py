"""Django's ORM on a driver of MySQL, in a process of its own: `python -m tests.boundaries.mysql_django DRIVER PORT`.

Records the work on a real MariaDB, takes the server away, replays it on a new connection, and prints what was equal.
"""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from importlib import import_module
from typing import Any

import django
from django.conf import settings


def configure(driver: str, outside: Any) -> None:
    """Django with one database, on PyMySQL as MySQLdb or on mysqlclient."""
    if driver == "pymysql":
        import_module("pymysql").install_as_MySQLdb()
    database = {
        "ENGINE": "django.db.backends.mysql",
        "NAME": outside.database,
        "USER": "root",
        "HOST": "127.0.0.1",
        "PORT": outside.port,
        "OPTIONS": {"charset": "utf8mb4"},
    }
    settings.configure(DATABASES={"default": database}, USE_TZ=True, DEBUG=True, INSTALLED_APPS=[])
    django.setup()


def models() -> tuple[Any, Any]:
    """Two of them; their tables are made anew."""
    from django.db import connection, models

    class Author(models.Model):  # noqa: DJ008 - nobody prints it
        name = models.CharField(max_length=40, unique=True)

        class Meta:
            app_label = "shop"

    class Book(models.Model):  # noqa: DJ008
        author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
        title = models.CharField(max_length=80)
        price = models.DecimalField(max_digits=8, decimal_places=2)
        added = models.DateTimeField()
        about = models.JSONField()
        takes = models.DurationField(null=True)

        class Meta:
            app_label = "shop"

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS shop_book, shop_author")
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    return Author, Book


def work(author_model: Any, book_model: Any) -> Any:
    """What a view does: creates, fails in a savepoint, reads across tables, updates, streams."""
    from django.db import IntegrityError, connection, transaction

    added = dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    failed: list[Any] = []
    with transaction.atomic():
        author = author_model.objects.create(name="Åsa")
        for number in range(3):
            author.books.create(
                title=f"Book {number}", price=Decimal("9.90"), added=added, about={"n": number}, takes=added - added
            )
        try:
            with transaction.atomic():
                author_model.objects.create(name="Åsa")
        except IntegrityError as error:
            failed = [type(error.__cause__).__name__, error.args]
    author_model.objects.bulk_create([author_model(name=f"a{number}") for number in range(4)])
    books = book_model.objects.select_related("author").filter(title__contains="ook").order_by("id")
    rows = [[book.id, book.author.name, book.price, book.added, book.about, book.takes] for book in books]
    changed = author_model.objects.filter(name="a1").update(name="changed")
    streamed = [one.name for one in author_model.objects.order_by("id").iterator(chunk_size=2)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), SUM(price) FROM shop_book WHERE price > %s", [1])
        raw = cursor.fetchall()
    deleted = book_model.objects.filter(author__name="Åsa").delete()
    version = connection.mysql_version
    connection.close()
    return [author.id, failed, rows, changed, streamed, raw, deleted, version, connection.mysql_is_mariadb]


def main(driver: str, port: int) -> None:
    """Record, replay, compare."""
    from tests.boundaries.mysql_outside import MySQLOutside

    outside = MySQLOutside(port, "django")
    configure(driver, outside)
    made = models()
    from django.db import connection

    from pytest_fluxrun import patching
    from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer

    connection.close()
    boundary = import_module(f"pytest_fluxrun.boundaries.{driver}").boundary
    for name in boundary.modules:
        patching.install(boundary.patches(import_module(name)))
    recorder = MemoryRecorder()
    with recorder.open():
        expected = work(*made)
    recorded = recorder.finish()
    outside.take_away()
    hits = outside.calls()
    replayer = MemoryReplayer(recorded)

    with replayer.open():
        actual = work(*made)

    assert expected == actual, f"{expected}\n{actual}"
    assert not replayer.unplayed()
    assert hits == outside.calls()
    print(f"equal: {len(recorded)} calls, {len(expected[2])} books, failed with {expected[1][0]}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
