"""Readers of a library's catalogue: tables, facets, full text, raw SQL, exports, and what goes wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

__all__ = ["drive", "prepare"]


def prepare(root: Path) -> None:
    """The database that is published."""
    with closing(sqlite3.connect(root / "library.db")) as connection:
        connection.executescript(
            "CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT, born INTEGER);"
            "CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER REFERENCES author (id),"
            " price REAL, tags TEXT, cover BLOB);"
            "CREATE VIEW cheap AS SELECT * FROM book WHERE price < 20;"
            "CREATE VIRTUAL TABLE search USING fts4 (title);"
        )
        authors = [(number, f"Author {number}", 1900 + number) for number in range(1, 21)]
        connection.executemany("INSERT INTO author VALUES (?, ?, ?)", authors)
        books = [
            (number, f"Book {number}", number % 20 + 1, number * 1.25, '["new"]' if number % 3 else None, b"\x00\xff")
            for number in range(1, 201)
        ]
        connection.executemany("INSERT INTO book VALUES (?, ?, ?, ?, ?, ?)", books)
        connection.execute("INSERT INTO search SELECT title FROM book")
        connection.commit()


def drive(client: httpx.Client) -> None:
    """Send every request, one after another."""
    for path in _PATHS:
        client.get(path)
    client.request("OPTIONS", "/library")
    client.post("/library", data={"sql": "select 1"})
    client.post("/-/messages", data={"message": "hello", "message_type": "INFO"})
    client.head("/library/book")


_PATHS = (
    "/",
    "/.json",
    "/library",
    "/library.json",
    "/library/book",
    "/library/book/3",
    "/library/book/3.json",
    "/library/book/4711",
    "/library/book.json?_size=5",
    "/library/book.json?_size=5&_next=5",
    "/library/book.json?_shape=array",
    "/library/book.json?_shape=objects&_nl=on",
    "/library/book.json?_shape=nonsense",
    "/library/book?author_id=3&_facet=tags",
    "/library/book?_facet=author_id&_facet_size=max",
    "/library/book?price__gt=100&_sort_desc=price",
    "/library/book?_sort=title",
    "/library/book?_sort=nothing",
    "/library/book?title__contains=1&_col=title",
    "/library/book.csv",
    "/library/book.csv?_stream=on&_labels=on",
    "/library/book/3/cover.blob?_blob_column=cover",
    "/library/book.blob?_blob_column=cover",
    "/library/author",
    "/library/author/1",
    "/library/author?_search=x",
    "/library/cheap",
    "/library/cheap.json?_size=2",
    "/library/search?_search=Book",
    "/library/search.json?_search=12",
    "/library?sql=select+count(*)+from+book",
    "/library?sql=select+*+from+author+where+id=:id&id=4",
    "/library.json?sql=select+*+from+author+where+id=:id&id=4",
    "/library.json?sql=select+nonsense",
    "/library?sql=delete+from+book",
    "/library.csv?sql=select+name,+born+from+author+limit+3",
    "/library?sql=with+recursive+c(x)+as+(select+1+union+all+select+x%2B1+from+c+limit+500)+select+x+from+c",
    "/-/versions.json",
    "/-/settings.json",
    "/-/metadata",
    "/-/plugins.json",
    "/-/databases.json",
    "/-/actor.json",
    "/-/static/app.css",
    "/-/static/nothing.css",
    "/-/patterns",
    "/-/messages",
    "/nowhere",
    "/nowhere.json",
    "/library/nothing",
    "/library/nothing.json",
)
