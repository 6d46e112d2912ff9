"""I Hate Money under FluxRun: its own application factory, unchanged."""

import os
import warnings

import pytest_fluxrun as fluxrun

fluxrun.init(project="ihatemoney")

from ihatemoney.run import create_app


class Configuration:
    """What a deployment sets."""

    SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.path.abspath('budget.db')}"
    SECRET_KEY = "a-key-of-the-tests-alone"
    SESSION_COOKIE_SECURE = False


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    application = fluxrun.instrument(create_app(Configuration))
