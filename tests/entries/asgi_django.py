"""The web behaviours' site, written with Django's async views, as its ASGI handler. See `web_behaviours`."""

from __future__ import annotations

import asyncio
import hashlib
import json as json_module
from typing import Any

import httpx
from django.core.handlers.asgi import ASGIHandler
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.test.utils import override_settings
from django.urls import include, path
from django.utils.decorators import async_only_middleware

from tests.entries import django_site  # it configures Django
from tests.entries.web_behaviours import aask, ask, binary_file

_HERE = __name__
_upstream = [""]


def make(url: str) -> ASGIHandler:
    """The site, asking the upstream at `url`."""
    _upstream[0] = url
    with override_settings(MIDDLEWARE=[f"{_HERE}.own_urls", f"{_HERE}.outer", f"{_HERE}.inner"]):
        return ASGIHandler()


async def count(path: str = "/count", method: str = "GET", json: Any = None) -> int:
    """Ask the upstream."""
    return (await aask(method, _upstream[0] + path, json=json)).json()["n"]


@async_only_middleware
def own_urls(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        request.urlconf = _HERE
        return await get_response(request)

    return middleware


@async_only_middleware
def inner(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        response = await get_response(request)
        if request.path == "/layers":
            response["x-layers"] = "inner"
        return response

    return middleware


@async_only_middleware
def outer(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        if request.path != "/layers":
            return await get_response(request)
        number = await count()
        response = await get_response(request)
        response["x-layers"] += ",outer"
        response["x-count"] = str(number)
        return response

    return middleware


class Background(HttpResponse):
    """One that works on when it is closed, in a thread."""

    def close(self) -> None:
        super().close()
        ask("POST", f"{_upstream[0]}/count", json={"job": "background"})


async def json(request: Any) -> Any:
    body = json_module.loads(request.body)
    return JsonResponse({"amount": body["amount"], "n": await count(method="POST", json=body)})


async def form(request: Any) -> Any:
    return JsonResponse({"name": request.POST["name"], "tags": request.POST.getlist("tag"), "n": await count()})


def upload(request: Any) -> Any:  # in Django's thread for sync views
    file = request.FILES["file"]
    content = file.read()
    found = {"title": request.POST["title"], "filename": file.name, "type": file.content_type}
    number = ask("POST", f"{_upstream[0]}/count", json={"size": len(content)}).json()["n"]
    return JsonResponse({**found, "sha256": hashlib.sha256(content).hexdigest(), "n": number})


async def stream_in(request: Any) -> Any:
    digest, size = hashlib.sha256(), 0
    while part := request.read(5):
        digest.update(part)
        size += len(part)
    return HttpResponse(f"{digest.hexdigest()} {size}", content_type="text/plain")


async def stream_out(request: Any) -> Any:
    async def parts() -> Any:
        for number in range(3):
            yield f"{number}:{await count()}\n"

    return StreamingHttpResponse(parts(), content_type="text/plain")


async def fail(request: Any) -> Any:
    await count()
    raise RuntimeError("no rate for EUR") from KeyError("EUR")


async def unavailable(request: Any) -> Any:
    answer = await aask("GET", f"{_upstream[0]}/fail")
    return JsonResponse({"error": f"upstream said {answer.status_code}"}, status=503)


async def redirect(request: Any) -> Any:
    return HttpResponseRedirect(f"/json?n={await count()}")


async def head(request: Any) -> Any:
    return HttpResponse("counted", content_type="text/plain", headers={"x-count": str(await count())})


async def drip(request: Any) -> Any:
    await count()

    async def parts() -> Any:
        for number in range(200):
            await asyncio.sleep(0)
            yield f"drip {number}\n"

    return StreamingHttpResponse(parts(), content_type="text/plain")


async def time_out(request: Any) -> Any:
    try:
        await aask("GET", f"{_upstream[0]}/slow", timeout=0.2)
    except httpx.TimeoutException:
        return JsonResponse({"error": "time-out"}, status=504)
    return JsonResponse({})


async def background(request: Any) -> Any:
    return Background("accepted", status=202, content_type="text/plain")


async def hello(request: Any) -> Any:
    return HttpResponse(f"hello {request.GET['name']} from {request.resolver_match.namespace}: {await count()}")


async def file(request: Any) -> Any:
    return FileResponse(binary_file().open("rb"), content_type="application/octet-stream")


async def fan_out(request: Any) -> Any:
    found = await asyncio.gather(*(count(f"/count?part={part}") for part in range(3)))
    return JsonResponse(sorted(found), safe=False)


urlpatterns = [
    path("json", json),
    path("query", django_site.query),
    path("form", form),
    path("upload", upload),
    path("stream-in", stream_in),
    path("stream-out", stream_out),
    path("raise", fail),
    path("unavailable", unavailable),
    path("redirect", redirect),
    path("cookies", django_site.cookies),
    path("head", head),
    path("drip", drip),
    path("timeout", time_out),
    path("background", background),
    path("sub/", include(([path("hello", hello)], "sub"))),
    path("layers", django_site.layers),
    path("file", file),
    path("fan-out", fan_out),
]
