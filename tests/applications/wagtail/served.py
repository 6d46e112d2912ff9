"""A Wagtail site under FluxRun: what `wagtail start` makes, unchanged."""

import os

import pytest_fluxrun as fluxrun

fluxrun.init(project="wagtail")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_tests.settings.dev")

from django.core.wsgi import get_wsgi_application

application = fluxrun.instrument(get_wsgi_application())
