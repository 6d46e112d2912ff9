"""Django's file storage in the blob store, over HTTP."""

import io
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible


@deconstructible
class BlobStorage(Storage):
    """One object per file; names are never reused."""

    def _url(self, name: str) -> str:
        return f"{settings.BLOB_URL}/{quote(name)}"

    def _save(self, name: str, content: Any) -> str:
        response = httpx.put(self._url(name), content=b"".join(content.chunks()), timeout=settings.UPSTREAM_TIMEOUT_S)
        response.raise_for_status()
        return name

    def _open(self, name: str, mode: str = "rb") -> File:
        response = httpx.get(self._url(name), timeout=settings.UPSTREAM_TIMEOUT_S)
        response.raise_for_status()
        return File(io.BytesIO(response.content), name)

    def exists(self, name: str) -> bool:
        return httpx.head(self._url(name), timeout=settings.UPSTREAM_TIMEOUT_S).status_code == httpx.codes.OK

    def delete(self, name: str) -> None:
        httpx.delete(self._url(name), timeout=settings.UPSTREAM_TIMEOUT_S).raise_for_status()

    def url(self, name: str) -> str:
        return self._url(name)
