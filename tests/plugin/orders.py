"""A service of orders in SQLite, recorded for real: a read, two effects and a value in each run. Asserts nothing."""

from __future__ import annotations

__all__ = ["LOG", "READ", "RECORD", "SERVICE", "VALUE", "WRITE"]

READ = '    rate = database.execute("select rate from rates").fetchone()[0]\n'
WRITE = '    database.execute("insert into orders values (?)", (amount,))\n'
LOG = '    database.execute("insert into log values (?)", (amount * 2,))\n'
VALUE = '    return {"total": amount * rate}\n'

SERVICE = f'''\
"""Orders and refunds."""

import os
import sqlite3

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")


def _handle(amount):
    database = sqlite3.connect("shop.db")
{READ}{WRITE}{LOG}    database.commit()
    database.close()
    if amount > 100:
        raise ValueError("too much")
{VALUE}

@fluxrun.capture("order")
def order(amount):
    """Order."""
    return _handle(amount)


@fluxrun.capture("refund")
def refund(amount):
    """Give back."""
    return _handle(amount)
'''

RECORD = """\
import contextlib, os, sqlite3
database = sqlite3.connect("shop.db")
database.executescript("create table rates (rate); insert into rates values (3);"
                       "create table orders (amount); create table log (amount)")
database.close()
import service
for amount in (1, 2):
    service.order(amount)
service.refund(5)
assert service.fluxrun.flush(20)
os.unlink("shop.db")
"""
