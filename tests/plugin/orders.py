"""A service of orders in SQLite, recorded for real: a read, two effects and a value in each run. Asserts nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from tests.plugin.kiosk import Kiosk
from tests.plugin.recorded import recorded_kiosk

__all__ = ["LOG", "READ", "VALUE", "WRITE", "copied", "recorded_orders"]

READ = '    rate = database.execute("select rate from rates").fetchone()[0]\n'
WRITE = '    database.execute("insert into orders values (?)", (amount,))\n'
LOG = '    database.execute("insert into log values (?)", (amount * 2,))\n'
VALUE = '    return {"total": amount * rate}\n'

_SERVICE = f'''\
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

_RECORD = """\
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


def recorded_orders(base: Path, *, guarded: bool) -> Kiosk:
    """The service in a directory below `base` with the runs order(1), order(2) and refund(5).

    Args:
        guarded: whether each has a guard, which expects the recorded outcome.
    """
    kiosk = recorded_kiosk(base, _SERVICE, "", _RECORD)
    for bundle in kiosk.bundles() if guarded else ():
        expectation = Guard(run=bundle.stem[-26:], sha256=digest(bundle.read_bytes()))
        write_guard(bundle.with_name(f"{bundle.stem}.guard.toml"), expectation)
    return kiosk


def copied(kiosk: Kiosk, base: Path) -> Kiosk:
    """A copy of a project, in a directory below `base`."""
    shutil.copytree(kiosk.root.parent, base / "home")
    return replace(kiosk, root=base / "home" / kiosk.root.name)
