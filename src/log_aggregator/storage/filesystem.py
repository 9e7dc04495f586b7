"""Objects as files below a directory: for a single machine, or a file system that all replicas mount."""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from log_aggregator.model.section import Section
from log_aggregator.storage.errors import InvalidKey, ObjectNotFound, StorePermissionDenied, StoreUnavailable
from log_aggregator.storage.file_tree import FileTree
from log_aggregator.storage.store import ByteRange, ObjectMeta, check_prefix


class FilesystemSettings(Section):
    """Loki's `storage_config.filesystem`."""

    directory: Path


class FilesystemStore:
    """Puts are synced to the disk before they return. Made by `open_filesystem_store`."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        with _our_errors("get", key), _absence("get", key):
            return await asyncio.to_thread(self._tree.read, key, byte_range)

    async def head(self, key: str) -> ObjectMeta:
        with _our_errors("head", key), _absence("head", key):
            return await asyncio.to_thread(self._tree.meta, key)

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        with _our_errors("put", key):
            await asyncio.to_thread(self._tree.write, key, data, if_absent=if_absent)

    async def delete(self, keys: Sequence[str]) -> None:
        with _our_errors("delete", ", ".join(keys)):
            await asyncio.to_thread(self._tree.remove, keys)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        with _our_errors("list", prefix):
            names = await asyncio.to_thread(self._tree.child_directories, check_prefix(prefix))
        return sorted(f"{prefix}{name}/" for name in names)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        with _our_errors("list", prefix):
            metas = await asyncio.to_thread(_walk, self._tree, check_prefix(prefix), after)
        for meta in metas:
            yield meta

    async def close(self) -> None:
        """Nothing is held open between operations."""


async def open_filesystem_store(settings: FilesystemSettings) -> FilesystemStore:
    """A store in the directory, which is created if need be. Raises StoreUnavailable, StorePermissionDenied."""
    with _our_errors("open", str(settings.directory)):
        return FilesystemStore(await asyncio.to_thread(FileTree, settings.directory))


def _walk(tree: FileTree, prefix: str, after: str) -> list[ObjectMeta]:
    # Python compares strings by code point, which is the order of their UTF-8 bytes.
    return sorted((meta for meta in tree.walk(prefix) if meta.key > after), key=lambda meta: meta.key)


@contextmanager
def _absence(operation: str, key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ObjectNotFound(f"{operation} of {key}: no such object") from error


@contextmanager
def _our_errors(operation: str, key: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise StorePermissionDenied(f"{operation} of {key}: {error.strerror}") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidKey(f"{operation} of {key}: an object's key cannot go on below another object's key") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidKey(f"{operation} of {key}: a segment is too long for the file system") from error
        raise StoreUnavailable(f"{operation} of {key}: {error.strerror}") from error
