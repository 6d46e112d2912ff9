"""SQLAlchemy, SQLModel and Django on psycopg, recorded live and replayed with the server gone."""

from __future__ import annotations

from typing import ClassVar

from tests.boundaries import psycopg_orm_behaviours as behaviours
from tests.boundaries.psycopg_orm_behaviours import with_django
from tests.boundaries.test_psycopg import PsycopgContract


class TestSqlAlchemyOnPsycopg(PsycopgContract):
    """Core, ORM and async engine, with what they ask at their first connection."""

    exercises: ClassVar = {
        "core": behaviours.core,
        "core_fails": behaviours.core_fails,
        "mapped": behaviours.mapped,
        "mapped_async": behaviours.mapped_async,
        "sqlmodels": behaviours.sqlmodels,
    }


class TestDjangoOnPsycopg(PsycopgContract):
    """The postgresql backend, binds written by the client or sent to the server."""

    exercises: ClassVar = {
        name: with_django(function, server_side_binding=binding)
        for binding in (False, True)
        for name, function in (
            (f"models-{binding}", behaviours.models_),
            (f"atomic-{binding}", behaviours.atomic),
            (f"iterated-{binding}", behaviours.iterated),
        )
    }
