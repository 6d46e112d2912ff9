"""The web behaviours' site, written with Django. See `web_behaviours` for what each view does.

Independent of what else has configured Django in this process: middlewares are set while a handler is made, and each
request brings its urlconf.
"""

from __future__ import annotations

import hashlib
import json as json_module
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.test.utils import override_settings
from django.urls import path
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.django_settings import configure
from tests.entries.web_behaviours import ask, binary_file

_HERE = __name__
_upstream = [""]

configure()


def make(url: str, *first: str) -> Any:
    """The site, asking the upstream at `url`, with the same site mounted under `/sub`.

    Args:
        first: middlewares before its own.
    """
    _upstream[0] = url
    names = (*first, f"{_HERE}.OwnUrls", f"{_HERE}.Outer", f"{_HERE}.Inner")
    with override_settings(MIDDLEWARE=list(names)):
        return DispatcherMiddleware(WSGIHandler(), {"/sub": WSGIHandler()})


def count(path: str = "/count", method: str = "GET", **more: Any) -> int:
    """Ask the upstream."""
    number: int = ask(method, _upstream[0] + path, **more).json()["n"]
    return number


class OwnUrls:
    """Every request finds the views below."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.urlconf = _HERE
        return self.get_response(request)


class Inner(OwnUrls):
    """The inner layer of `/layers`."""

    name = "inner"

    def __call__(self, request: Any) -> Any:
        if request.path != "/layers":
            return self.get_response(request)
        response = self.get_response(request)
        response["x-layers"] = ",".join(filter(None, [response.get("x-layers", ""), self.name]))
        return response


class Outer(Inner):
    """The outer one, which asks the upstream first."""

    name = "outer"

    def __call__(self, request: Any) -> Any:
        number = count() if request.path == "/layers" else 0
        response = super().__call__(request)
        if request.path == "/layers":
            response["x-count"] = str(number)
        return response


class Background(HttpResponse):
    """One that works on when it is closed."""

    def close(self) -> None:
        super().close()
        count(method="POST", json={"job": "background"})


def json(request: Any) -> Any:
    body = json_module.loads(request.body)
    return JsonResponse({"amount": body["amount"], "n": count(method="POST", json=body)})


def query(request: Any) -> Any:
    name = request.headers["x-request-id"]
    found = {"a": request.GET.getlist("a"), "b": request.GET["b"], "id": name}
    return JsonResponse(found, headers={"x-request-id": name})


def form(request: Any) -> Any:
    return JsonResponse({"name": request.POST["name"], "tags": request.POST.getlist("tag"), "n": count()})


def upload(request: Any) -> Any:
    file = request.FILES["file"]
    content = file.read()
    return JsonResponse(
        {
            "title": request.POST["title"],
            "filename": file.name,
            "type": file.content_type,
            "sha256": hashlib.sha256(content).hexdigest(),
            "n": count(method="POST", json={"size": len(content)}),
        }
    )


def stream_in(request: Any) -> Any:
    digest, size = hashlib.sha256(), 0
    stream = request.environ["wsgi.input"]  # Django itself reads no chunked body
    while part := stream.read(5):
        digest.update(part)
        size += len(part)
    return HttpResponse(f"{digest.hexdigest()} {size}", content_type="text/plain")


def stream_out(request: Any) -> Any:
    return StreamingHttpResponse((f"{number}:{count()}\n" for number in range(3)), content_type="text/plain")


def fail(request: Any) -> Any:
    count()
    raise RuntimeError("no rate for EUR") from KeyError("EUR")


def unavailable(request: Any) -> Any:
    answer = ask("GET", f"{_upstream[0]}/fail")
    return JsonResponse({"error": f"upstream said {answer.status_code}"}, status=503)


def redirect(request: Any) -> Any:
    return HttpResponseRedirect(f"/json?n={count()}")


def cookies(request: Any) -> Any:
    session = request.COOKIES["session"]
    response = HttpResponse(session, content_type="text/plain")
    response.set_cookie("seen", "1", path="/")
    response.set_cookie("session", session, httponly=True, path="/")
    return response


def head(request: Any) -> Any:
    return HttpResponse("counted", content_type="text/plain", headers={"x-count": str(count())})


def drip(request: Any) -> Any:
    count()
    return StreamingHttpResponse((f"drip {number}\n" for number in range(200)), content_type="text/plain")


def time_out(request: Any) -> Any:
    try:
        ask("GET", f"{_upstream[0]}/slow", timeout=0.2)
    except httpx.TimeoutException:
        return JsonResponse({"error": "time-out"}, status=504)
    return JsonResponse({})


def background(request: Any) -> Any:
    return Background("accepted", status=202, content_type="text/plain")


def hello(request: Any) -> Any:
    return HttpResponse(f"hello {request.GET['name']} from {request.META['SCRIPT_NAME']}: {count()}")


def layers(request: Any) -> Any:
    return HttpResponse("layers", content_type="text/plain")


def file(request: Any) -> Any:
    return FileResponse(binary_file().open("rb"), content_type="application/octet-stream")


def fan_out(request: Any) -> Any:
    with ThreadPoolExecutor(3) as pool:
        found = sorted(pool.map(lambda part: count(f"/count?part={part}"), range(3)))
    return JsonResponse(found, safe=False)


urlpatterns = [
    path("json", json),
    path("query", query),
    path("form", form),
    path("upload", upload),
    path("stream-in", stream_in),
    path("stream-out", stream_out),
    path("raise", fail),
    path("unavailable", unavailable),
    path("redirect", redirect),
    path("cookies", cookies),
    path("head", head),
    path("drip", drip),
    path("timeout", time_out),
    path("background", background),
    path("hello", hello),
    path("layers", layers),
    path("file", file),
    path("fan-out", fan_out),
]
