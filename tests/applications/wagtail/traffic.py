"""Editors of a Wagtail site: they log in, look around, write pages, publish and delete them; readers search."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

__all__ = ["drive", "prepare"]

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_PASSWORD = "pale-heron-41"
_LOOKED_AT = (
    "/admin/",
    "/admin/pages/",
    "/admin/pages/3/",
    "/admin/pages/3/edit/",
    "/admin/pages/3/history/",
    "/admin/pages/add/home/homepage/3/",
    "/admin/pages/search/?q=home",
    "/admin/pages/4711/edit/",
    "/admin/images/",
    "/admin/documents/",
    "/admin/users/",
    "/admin/users/new/",
    "/admin/groups/",
    "/admin/groups/1/",
    "/admin/sites/",
    "/admin/redirects/",
    "/admin/collections/",
    "/admin/account/",
    "/admin/reports/site-history/",
    "/admin/reports/locked/",
    "/admin/workflows/list/",
    "/admin/sprite/",
    "/admin/api/main/pages/?child_of=1",
    "/admin/api/main/pages/3/",
    "/admin/choose-page/?page_type=wagtailcore.page",
    "/django-admin/",
    "/django-admin/auth/user/",
    "/django-admin/auth/user/1/change/",
    "/django-admin/auth/user/?q=edit&o=1",
    "/admin/no/such/page/",
)


def prepare(root: Path) -> None:
    """A project as `wagtail start` makes it, its tables, and an editor."""
    variables = {**os.environ, "DJANGO_SUPERUSER_PASSWORD": _PASSWORD}
    script = "import sys; from wagtail.bin.wagtail import main; sys.argv[0] = 'wagtail'; main()"
    for arguments in (
        ("-c", script, "start", "site_of_tests", "."),
        ("manage.py", "migrate", "--verbosity", "0"),
        ("manage.py", "createsuperuser", "--noinput", "--username", "editor", "--email", "e@example.org"),
    ):
        subprocess.run([sys.executable, "-W", "ignore", *arguments], cwd=root, env=variables, check=True, timeout=120)


def drive(client: httpx.Client) -> None:
    """Send every request, one after another."""
    for path in ("/", "/search/", "/search/?query=home", "/nowhere/", "/admin/"):
        client.get(path)
    client.post("/search/", data={"query": "without a token"})  # refused: CSRF
    _submit(client, "/admin/login/", {"username": "editor", "password": "wrong"})
    _submit(client, "/admin/login/", {"username": "editor", "password": _PASSWORD})
    for path in _LOOKED_AT:
        client.get(path)
    _write(client)
    _submit(client, "/admin/account/", {"name_email-first_name": "Ada", "name_email-last_name": "L"})
    _submit(client, "/admin/redirects/add/", {"old_path": "/old", "redirect_link": "http://127.0.0.1/new"})
    client.get("/old")
    _submit(client, "/admin/logout/", {}, page="/admin/pages/")
    client.get("/admin/")


def _write(client: httpx.Client) -> None:
    new = "/admin/pages/add/home/homepage/3/"
    _submit(client, new, {"title": "", "slug": ""})  # invalid
    _submit(client, new, {"title": "Spring", "slug": "spring"})
    _submit(client, new, {"title": "Summer", "slug": "summer", "action-publish": "action-publish"})
    _submit(client, new, {"title": "Summer again", "slug": "summer"})  # taken
    client.get("/summer/")
    client.get("/spring/")  # not published
    _submit(client, "/admin/pages/5/edit/", {"title": "Late summer", "slug": "summer", "action-publish": "publish"})
    _submit(client, "/admin/pages/5/unpublish/", {})
    _submit(client, "/admin/pages/5/delete/", {})
    client.get("/summer/")


def _submit(client: httpx.Client, path: str, fields: dict[str, str], *, page: str = "") -> None:
    """Post a form with the token that its page gave out; two requests."""
    found = _TOKEN.search(client.get(page or path).text)
    extra = {"comments-TOTAL_FORMS": "0", "comments-INITIAL_FORMS": "0"} if "/pages/" in path else {}
    client.post(path, data={**extra, **fields, "csrfmiddlewaretoken": found[1] if found else ""})
