"""Piccolo Admin under FluxRun: the example application that it ships, on PostgreSQL by asyncpg."""

import warnings

import pytest_fluxrun as fluxrun

fluxrun.init(project="piccolo")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its dependencies' own, of the packages that they are made with
    from piccolo_admin.example.app import APP
    from piccolo_admin.example.tables import set_engine

set_engine("postgres")  # the database `piccolo_admin`, on the server that PGHOST and PGUSER name
application = fluxrun.instrument(APP)
