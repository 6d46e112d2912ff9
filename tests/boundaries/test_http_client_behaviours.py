"""http.client, and what is built on it, against the table of behaviours that every HTTP client is held to."""

from __future__ import annotations

import http.client
from typing import ClassVar

import requests
import urllib3.connectionpool

from pytest_fluxrun.boundaries import concurrent_futures, urllib3_future
from pytest_fluxrun.boundaries import http_client as http_client_boundary
from pytest_fluxrun.boundaries import httplib2 as httplib2_seams
from pytest_fluxrun.boundaries import urllib3 as urllib3_seams
from tests.boundaries.clients import botocore, http_client, httplib2, urllib_request
from tests.boundaries.clients import requests as requests_client
from tests.boundaries.clients import urllib3 as urllib3_client
from tests.boundaries.http_behaviours import exercises
from tests.boundaries.http_contract import HttpContract

UNFOLLOWED = ("redirect", "redirect-with-body")


FUTURE = not issubclass(urllib3.connectionpool.HTTPConnection, http.client.HTTPConnection)
"""urllib3-future puts itself in urllib3's place where it is installed; what is built on urllib3 then uses it."""
OVER = " over urllib3-future" if FUTURE else ""
OVER_URLLIB3 = urllib3_future.boundary if FUTURE else http_client_boundary.boundary


class HttpClientContract(HttpContract):
    """Whatever makes its calls over http.client."""

    boundary = http_client_boundary.boundary


class TestHttpClient(HttpClientContract):
    """http.client by hand."""

    library, subject = "python", "http.client"
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = exercises(http_client.adapter, but=UNFOLLOWED)


class TestUrllib(HttpClientContract):
    """urllib.request; it can't follow a 307 that answers a request with a body."""

    library, subject = "python", "urllib.request"
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = exercises(urllib_request.adapter, but=("redirect-with-body",))


class TestUrllib3(HttpClientContract):
    """urllib3, its pool manager."""

    library, subject = ("urllib3-future", "urllib3-future") if FUTURE else ("urllib3", "urllib3")
    boundary = OVER_URLLIB3
    carriers = (concurrent_futures.boundary, urllib3_seams.boundary)
    exercises: ClassVar = exercises(urllib3_client.adapter)


class TestRequests(HttpClientContract):
    """requests, its sessions."""

    library, subject = "requests", f"requests{OVER}"
    boundary = OVER_URLLIB3
    carriers = (concurrent_futures.boundary, urllib3_seams.boundary)
    exercises: ClassVar = exercises(requests_client.adapter_of(requests))


class TestBotocore(HttpClientContract):
    """botocore's HTTP session; a client of it follows no redirect, and sends no generator."""

    library, subject = "botocore", f"botocore{OVER}"
    boundary = OVER_URLLIB3
    carriers = (concurrent_futures.boundary, urllib3_seams.boundary)
    exercises: ClassVar = exercises(botocore.adapter, but=(*UNFOLLOWED, "chunked-upload"))


class TestHttplib2(HttpClientContract):
    """httplib2; it reads each answer whole."""

    library, subject = "httplib2", "httplib2"
    carriers = (concurrent_futures.boundary, httplib2_seams.boundary)
    exercises: ClassVar = exercises(httplib2.adapter, but=("streamed", "abandoned"))
