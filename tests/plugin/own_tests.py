"""The tests that a project has of its own, by plugin that fakes, freezes or blocks something. Data, not run here."""

from __future__ import annotations

OWN_TESTS = {
    "test_respx.py": """\
import httpx, respx

@respx.mock
def test_route():
    respx.get("http://faked.test/").respond(json={"by": "respx"})
    assert httpx.get("http://faked.test/").json() == {"by": "respx"}

def test_fixture(respx_mock):
    respx_mock.get("http://faked.test/").respond(204)
    assert httpx.get("http://faked.test/").status_code == 204
""",
    "test_pytest_httpx.py": """\
import httpx, pytest

def test_sync(httpx_mock):
    httpx_mock.add_response(url="http://faked.test/", json={"by": "pytest-httpx"})
    assert httpx.get("http://faked.test/").json() == {"by": "pytest-httpx"}

async def _ask():
    async with httpx.AsyncClient() as client:
        return (await client.get("http://faked.test/")).status_code

def test_async(httpx_mock):
    import asyncio
    httpx_mock.add_response(status_code=418)
    assert asyncio.run(_ask()) == 418
""",
    "test_vcr.py": """\
import httpx, pytest, requests, vcr

@pytest.mark.vcr
def test_recorded():
    assert requests.get("http://faked.test/taped").text == "by vcrpy"

@pytest.mark.vcr
def test_recorded_httpx():
    assert httpx.get("http://faked.test/taped").text == "by vcrpy"

def test_plain_vcrpy():
    with vcr.use_cassette("tests/cassettes/test_vcr/test_recorded.yaml", record_mode="none"):
        assert requests.get("http://faked.test/taped").text == "by vcrpy"
""",
    "cassettes/test_vcr/test_recorded.yaml": """\
interactions:
- request: {body: null, headers: {}, method: GET, uri: 'http://faked.test/taped'}
  response: {body: {string: by vcrpy}, headers: {Content-Type: [text/plain]}, status: {code: 200, message: OK}}
version: 1
""",
    "test_responses.py": """\
import requests, responses

@responses.activate
def test_route():
    responses.get("http://faked.test/", json={"by": "responses"})
    assert requests.get("http://faked.test/").json() == {"by": "responses"}
""",
    "test_clocks.py": """\
import datetime, time, freezegun, time_machine

@time_machine.travel(0, tick=False)
def test_time_machine():
    assert time.time() == 0 and datetime.datetime.now(datetime.timezone.utc).year == 1970

def test_time_machine_fixture(time_machine):
    time_machine.move_to("2001-02-03T00:00:00Z", tick=False)
    assert time.time() == 981158400

@freezegun.freeze_time("2012-01-14")
def test_freezegun():
    assert datetime.datetime.now() == datetime.datetime(2012, 1, 14)

def test_real():
    assert datetime.date.today().year > 2024
""",
    "test_loops.py": """\
import asyncio, anyio, pytest

@pytest.mark.asyncio
async def test_asyncio():
    await asyncio.sleep(0.01)

@pytest.mark.anyio
async def test_anyio(anyio_backend):
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0.01)

@pytest.fixture
def anyio_backend():
    return "asyncio"
""",
    "test_sockets.py": """\
import socket, pytest, pytest_socket

def test_blocked(socket_disabled):
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket()

def test_open():
    a, b = socket.socketpair()
    a.close(), b.close()
""",
    "site_settings.py": """\
SECRET_KEY = "django"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
""",
    "test_site.py": """\
import pytest

@pytest.mark.django_db
def test_database():
    from django.contrib.auth.models import User
    User.objects.create(username="someone")
    assert User.objects.count() == 1

def test_blocked():
    from django.contrib.auth.models import User
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        User.objects.count()
""",
    "test_live.py": """\
import os, httpx, pytest

@pytest.fixture(scope="module")
def client():
    with httpx.Client() as client:
        yield client

@pytest.mark.parametrize("attempt", range(3))
def test_own_server(client, attempt):
    assert client.get(os.environ["OWN_SERVER"]).json() == {"rate": 3}
""",
}
OWN_TESTS["cassettes/test_vcr/test_recorded_httpx.yaml"] = OWN_TESTS["cassettes/test_vcr/test_recorded.yaml"]
