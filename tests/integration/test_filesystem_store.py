"""A store in a directory whose file system goes away."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from log_aggregator.storage.errors import ObjectNotFound, StoreUnavailable
from log_aggregator.storage.filesystem import FilesystemSettings, open_filesystem_store
from log_aggregator.storage.store import ObjectStore


async def listed(store: ObjectStore, prefix: str) -> list[str]:
    return [meta.key async for meta in store.list(prefix)]


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.get("a/b"),
        lambda store: store.head("a/b"),
        lambda store: store.put("a/c", b"more"),
        lambda store: store.list_prefixes(""),
        lambda store: store.list_prefixes("a/"),
        lambda store: listed(store, ""),
        lambda store: listed(store, "a/"),
        lambda store: listed(store, "other/"),
        lambda store: store.delete(["a/c"]),
    ],
)
@pytest.mark.parametrize("mount_point", ["absent", "bare", "used"])
async def test_a_file_system_that_is_not_mounted_is_no_empty_store(
    tmp_path: Path, ask: Callable[[ObjectStore], Awaitable[object]], mount_point: str
) -> None:
    directory, elsewhere = tmp_path / "objects", tmp_path / "elsewhere"
    store = await open_filesystem_store(FilesystemSettings(directory=directory))
    await store.put("a/b", b"data")
    directory.rename(elsewhere)
    if mount_point == "bare":
        directory.mkdir()
    if mount_point == "used":  # by a process that came before the file system
        await open_filesystem_store(FilesystemSettings(directory=directory))
    with pytest.raises(StoreUnavailable, match="is it mounted"):
        await ask(store)
    if mount_point != "absent":
        shutil.rmtree(directory)
    elsewhere.rename(directory)
    assert await store.get("a/b") == b"data"
    with pytest.raises(ObjectNotFound):
        await store.get("a/other")
    assert await listed(store, "other/") == []
