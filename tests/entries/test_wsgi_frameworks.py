"""Each WSGI framework passes the entry contract on every web behaviour."""

from __future__ import annotations

from pytest_fluxrun.entries.wsgi import entry
from pytest_fluxrun.testing.entry import EntryContract
from tests.entries import django_site, wsgi_falcon, wsgi_flask, wsgi_plain, wsgi_pyramid, wsgi_werkzeug
from tests.entries.web_behaviours import exercises
from tests.entries.wsgi_client import request

_ANSWERS_500 = {"raised-error": {"status": 500}}
"""Frameworks that make an answer of the error: it is in the outcome all the same."""


class TestFlask(EntryContract):
    entry = entry
    subject = "Flask"
    library = "flask"
    exercises = exercises(wsgi_flask.make, request, changes=_ANSWERS_500)


class TestDjango(EntryContract):
    entry = entry
    subject = "Django (WSGI)"
    library = "django"
    exercises = exercises(django_site.make, request, changes=_ANSWERS_500)


class TestPyramid(EntryContract):
    entry = entry
    subject = "Pyramid"
    library = "pyramid"
    exercises = exercises(wsgi_pyramid.make, request)


class TestFalcon(EntryContract):
    entry = entry
    subject = "Falcon"
    library = "falcon"
    exercises = exercises(wsgi_falcon.make, request, changes=_ANSWERS_500)


class TestWerkzeug(EntryContract):
    entry = entry
    subject = "werkzeug"
    library = "werkzeug"
    exercises = exercises(wsgi_werkzeug.make, request)


class TestPlain(EntryContract):
    entry = entry
    subject = "plain WSGI"
    library = "python"
    exercises = exercises(wsgi_plain.make, request)
