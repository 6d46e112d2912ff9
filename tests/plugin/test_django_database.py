"""A Django site's runs beside its own tests: the database is open for replays and blocked for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.kiosk import Kiosk
from tests.plugin.wsgi_project import project

SITE = {
    "site_settings.py": """\
SECRET_KEY = "not one"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_urls"
INSTALLED_APPS = ["orders"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"},
    "replica": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db", "TEST": {"MIRROR": "default"}},
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
LOGGING_CONFIG = None
USE_TZ = True
MIDDLEWARE = ["pytest_fluxrun.entries.django.FluxRunMiddleware"]
FLUXRUN = {"project": "shop", "name": "site", "sample": 1.0}
""",
    "orders/__init__.py": "",
    "orders/models.py": """\
from django.db import models


class Order(models.Model):
    title = models.CharField(max_length=20, unique=True)
    made_at = models.DateTimeField(auto_now_add=True)
""",
    "site_urls.py": """\
from django.db import connections, transaction
from django.http import JsonResponse
from django.urls import path

from orders.models import Order


def make(request, title):
    with transaction.atomic():
        made = Order.objects.create(title=title)
    titles = list(Order.objects.using("replica").order_by("title").values_list("title", flat=True))
    return JsonResponse({"id": made.id, "at": made.made_at.isoformat(), "titles": titles})


urlpatterns = [path("orders/<title>", make)]
""",
    "site_wsgi.py": """\
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
""",
    "pytest.ini": """\
[pytest]
DJANGO_SETTINGS_MODULE = site_settings
pythonpath = .
""",
    "tests/test_orders.py": """\
import pytest

from orders.models import Order


@pytest.fixture(scope="module", autouse=True)
def _database(django_db_setup):
    pass


@pytest.mark.django_db
def test_own_database_is_empty():
    assert Order.objects.count() == 0
    Order.objects.create(title="of a test")
    assert Order.objects.count() == 1


def test_database_is_blocked():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Order.objects.count()
""",
}

RECORD = """\
import io, sys
import site_wsgi
from django.core.management import call_command
import pytest_fluxrun as fluxrun

call_command("migrate", run_syncdb=True, verbosity=0)
for title in ("tea", "jam", "tea"):
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": f"/orders/{title}", "QUERY_STRING": "",
        "SERVER_NAME": "shop.example", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": "0",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.version": (1, 0),
        "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }
    result = site_wsgi.application(environ, lambda *_: None)
    b"".join(result)
    result.close()
assert fluxrun.flush(20)
"""


@pytest.fixture
def site(tmp_path: Path) -> Kiosk:
    """The site with three recorded requests: two orders, and one that a unique constraint refused."""
    site = project(tmp_path, modules="site_wsgi")
    for name, text in SITE.items():
        site.write(name, text)
    done = site.python("-c", RECORD, FLUXRUN_TOKEN=site.token.to_text())
    assert done.returncode == 0, done.stdout
    (site.root / "site.db").unlink()
    assert 3 == len(site.bundles("site")), done.stdout
    return site


@pytest.mark.parametrize("order", [["runs", "tests"], ["tests", "runs"]])
def test_runs_and_blocked_tests_share_a_session(site: Kiosk, order: list[str]) -> None:
    """Runs pass with no database file; tests keep their own database and their block, whichever comes first."""
    suite = site.pytest("--fluxrun-dir=runs", "--fluxrun-no-confirm", "-v", *order, plugins=["django"])

    verdicts = sorted(case.verdict for case in suite.cases.values() if case.verdict)
    assert ["match", "match", "reproduced"] == verdicts, suite.output
    assert {"passed": 4, "failed": 1} == suite.results
    assert "django.db.utils:IntegrityError" in suite.output
    assert not (site.root / "site.db").exists()


def test_non_pass_is_confirmed_with_the_database_open(site: Kiosk) -> None:
    """The forked child is a process of the same session, and blocked as that is."""
    site.edit("site_urls.py", '"titles": titles', '"titles": titles[:1]')

    suite = site.pytest("--fluxrun-dir=runs", "-v", plugins=["django"])

    assert {"match", "regressed", "reproduced"} == {case.verdict for case in suite.cases.values()}, suite.output
    assert 2 == suite.output.count("says the same"), suite.output


def test_statements_bear_the_alias_of_their_database(site: Kiosk) -> None:
    """Two aliases of one file are told apart."""
    shown = site.python("-m", "pytest_fluxrun", "show", site.bundles("site")[0].name).stdout
    statements = [line for line in shown.splitlines() if "site.db: " in line]
    assert any("sqlite3 (default)  site.db: INSERT" in line for line in statements), shown
    assert any("sqlite3 (replica)  site.db: SELECT" in line for line in statements), shown


def test_fixture_that_opens_the_database_for_every_test_leaves_replays_alone(site: Kiosk) -> None:
    """An autouse `db` fixture wraps runs in its transaction too; a replay has connections of its own."""
    site.write("conftest.py", "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef _open(db):\n    pass\n")
    site.write(
        "tests/test_orders.py",
        "from orders.models import Order\n\n\ndef test_nothing_of_runs():\n    assert not Order.objects.count()\n",
    )

    suite = site.pytest("--fluxrun-dir=runs", "--fluxrun-no-confirm", "runs", "tests", plugins=["django"])

    verdicts = sorted(case.verdict for case in suite.cases.values() if case.verdict)
    assert ["match", "match", "reproduced"] == verdicts, suite.output
    assert {"passed": 3, "failed": 1} == suite.results
