"""The entry of the frozen run: a bit of every boundary that schema 1 knows. Never change it: it belongs to the bundle."""

from __future__ import annotations

import datetime as dt
import logging
import os
import random
import sqlite3
import time
import uuid

import httpx

import pytest_fluxrun as fluxrun

fluxrun.init(project="frozen", release="v1")


class Rates:
    """A cache that a run may find warm."""

    def rate(self, currency: str) -> float:
        """The rate of a currency."""
        return {"EUR": 1.0, "USD": 1.0842}[currency]


rates = fluxrun.host("rates", Rates(), effects=())


@fluxrun.capture("till.sell")
def sell(article: str, cents: int) -> dict[str, object]:
    """Sell an article; a free one fails."""
    connection = sqlite3.connect(os.environ.get("TILL_DATABASE", "till.db"))
    connection.execute("create table if not exists sale (article text, cents integer)")
    with connection:
        connection.execute("insert into sale values (?, ?)", (article, cents))
    sold = connection.execute("select count(*), sum(cents) from sale").fetchone()
    connection.close()
    answer = httpx.post(os.environ["TILL_PAYMENTS"] + "/charge", json={"cents": cents})
    logging.getLogger("till").warning("sold %s", article)
    time.sleep(0.25)
    if cents == 0:
        raise ValueError(f"{article} is free")
    return {
        "sold": list(sold),
        "charge": answer.json(),
        "rate": rates.rate("USD"),
        "id": str(uuid.uuid4()),
        "draw": random.random(),
        "at": dt.datetime.now(dt.UTC).isoformat(),
        "took": time.perf_counter() > 0,
    }
