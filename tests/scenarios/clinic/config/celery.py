"""The worker application; each execution of a task is a run."""

import os

from celery import Celery

import pytest_fluxrun as fluxrun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

fluxrun.init(project="clinic")

app = Celery("clinic")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
fluxrun.instrument(app, name="worker")
