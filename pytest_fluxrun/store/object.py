"""Bundles as objects in an S3-compatible bucket, through obstore (extra `object`).

Writes on the condition that the name is free, and waits for a bounded time. Never used across a fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from pytest_fluxrun.errors import AccessDenied, SettingsError, StoreError
from pytest_fluxrun.store.base import SUFFIX, Store, checked_name
from pytest_fluxrun.store.object_errors import NotImplementedByServer, explain
from pytest_fluxrun.store.object_settings import ObjectSettings, parse_object_url

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Store

    from pytest_fluxrun.store.object_client import Patience

__all__ = ["ObjectStore"]

_Result = TypeVar("_Result")

# obstore drops what it has gathered of a chunk when the connection breaks: a resumption would ask for it again.
_CHUNK_BYTES = 1 << 14
_LARGE_BYTES = 1 << 20
_first_used_in: int | None = None


class ObjectStore(Store):
    """The bucket and prefix of an `s3://bucket/prefix` URL. Nothing is asked of the network before the first use.

    The URL's query may set `endpoint`, `region` and `timeout_s`; everything else comes from the `AWS_*` environment and
    the shared credentials file.
    """

    def __init__(self, url: str) -> None:
        self.settings: ObjectSettings = parse_object_url(url)
        self._clients: dict[Patience, S3Store] = {}
        self._conditional = True
        _require_obstore()

    @property
    def location(self) -> str:
        """`s3://bucket/prefix`, without the query."""
        return self.settings.location

    def _create(self, name: str, data: bytes) -> bool:
        if self._known(name):
            return False
        if self._conditional:
            try:
                return self._put(name, data, conditional=True)
            except NotImplementedByServer:
                self._conditional = False
        return self._put(name, data, conditional=False)

    def _known(self, name: str) -> bool:
        """Ask before writing: some servers ignore the condition and overwrite. A producer that may only write can't."""
        try:
            return self._size(name) is not None
        except AccessDenied:
            return False

    def _put(self, name: str, data: bytes, *, conditional: bool) -> bool:
        from obstore.exceptions import AlreadyExistsError

        client = self._client("upload" if len(data) > _LARGE_BYTES else "short")

        def upload() -> bool:
            try:
                client.put(name + SUFFIX, data, mode="create" if conditional else "overwrite", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

        return self._ask(upload)

    def _read(self, name: str, offset: int) -> Iterator[bytes]:
        client = self._client("download")
        # Of an empty object no range can be asked, not even the whole.
        options: GetOptions = {"range": {"offset": offset}} if offset else {}
        try:
            answer = self._ask(lambda: client.get(name + SUFFIX, options=options))
        except FileNotFoundError:
            raise self._missing(name) from None
        stream = iter(answer.stream(min_chunk_size=_CHUNK_BYTES))
        while chunk := self._ask(lambda: next(stream, b"")):
            yield bytes(chunk)

    def _size(self, name: str) -> int | None:
        client = self._client("short")
        try:
            return self._ask(lambda: client.head(name + SUFFIX)["size"])
        except FileNotFoundError:
            return None

    def _names(self, prefix: str) -> Iterator[str]:
        client = self._client("short")
        listing = self._ask(client.list_with_delimiter)
        yield from sorted(_bundle_names((found["path"] for found in listing["objects"]), prefix))

    def _ask(self, request: Callable[[], _Result]) -> _Result:
        """Return what `request` returns; obstore's errors become ours, a missing object stays FileNotFoundError."""
        from obstore.exceptions import BaseError

        try:
            return request()
        except BaseError as error:
            # Without the cause: obstore's text quotes the server's answer, which may quote the access key.
            raise explain(str(error), self.settings) from None
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise explain(str(error), self.settings) from None
            raise

    def _client(self, patience: Patience) -> S3Store:
        _refuse_after_fork(self.location)
        client = self._clients.get(patience)
        if client is None:
            from pytest_fluxrun.store.object_client import connect

            client = self._clients[patience] = connect(self.settings, patience)
        return client

    def _close(self) -> None:
        self._clients.clear()


def _bundle_names(paths: Iterator[str], prefix: str) -> Iterator[str]:
    for path in paths:
        name = path.removesuffix(SUFFIX)
        if name != path and name.startswith(prefix):
            try:
                yield checked_name(name)
            except StoreError:
                continue


def _require_obstore() -> None:
    try:
        import obstore  # noqa: F401 - only whether it is there
    except ImportError:
        raise SettingsError(
            "the store s3:// can't be used",
            why="object storage needs the library obstore, which isn't installed",
            next_step="pip install 'pytest-fluxrun[object]'",
        ) from None


def _refuse_after_fork(location: str) -> None:
    """Raise in a child forked after the first use: obstore's threads stayed behind, and a call would never return."""
    global _first_used_in  # noqa: PLW0603 - obstore's runtime is one per process, too
    if _first_used_in is None:
        _first_used_in = os.getpid()
    elif _first_used_in != os.getpid():
        raise StoreError(
            f"{location} can't be used in this process",
            why=f"process {_first_used_in} used object storage before it forked this one; obstore can't follow a fork",
            next_step="fork before the first upload, or record to a directory and `fluxrun push` it",
        )
