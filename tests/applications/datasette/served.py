"""Datasette under FluxRun: its own application object, unchanged."""

import pytest_fluxrun as fluxrun

fluxrun.init(project="datasette")

from datasette.app import Datasette

application = fluxrun.instrument(Datasette(["library.db"], settings={"num_sql_threads": 3}).app())
