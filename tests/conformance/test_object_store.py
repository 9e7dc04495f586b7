"""What every object store does. A new store joins by a line in `STORES`."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from buckets import ensure_bucket
from log_aggregator.storage.errors import InvalidKey, ObjectExists, ObjectNotFound, RangeOutsideObject, StoreUnavailable
from log_aggregator.storage.filesystem import FilesystemSettings, open_filesystem_store
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.storage.probe import ConditionalPut, probe_conditional_put
from log_aggregator.storage.s3 import MultipartSizes, open_s3_store
from log_aggregator.storage.s3_settings import S3Settings
from log_aggregator.storage.store import ByteRange, ObjectStore
from servers import MotoServer, S3Server, SeaweedServer

MEBIBYTE = 1 << 20
Servers = Callable[[type[S3Server]], S3Server]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Starts each kind of server once, when the first test needs it."""
    started: dict[type[S3Server], S3Server] = {}
    with ExitStack() as stack:

        def server(kind: type[S3Server]) -> S3Server:
            if kind not in started:
                started[kind] = stack.enter_context(kind())
            return started[kind]

        yield server


async def memory(servers: Servers, directory: Path) -> ObjectStore:
    return MemoryStore()


async def filesystem(servers: Servers, directory: Path) -> ObjectStore:
    return await open_filesystem_store(FilesystemSettings(directory=directory / "objects"))


async def s3_on_moto(servers: Servers, directory: Path) -> ObjectStore:
    return await s3_on(servers(MotoServer))


async def s3_on_seaweed(servers: Servers, directory: Path) -> ObjectStore:
    return await s3_on(servers(SeaweedServer))


async def s3_on(server: S3Server) -> ObjectStore:
    settings = S3Settings.model_validate(server.settings("conformance"))
    created = server.directory / "bucket-created"
    if not created.exists():
        await ensure_bucket(settings)
        created.touch()
    return await open_s3_store(settings, MultipartSizes(threshold_bytes=6 * MEBIBYTE, part_bytes=5 * MEBIBYTE))


STORES = (memory, filesystem, s3_on_moto, s3_on_seaweed)


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
async def store(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    make: Callable[[Servers, Path], Awaitable[ObjectStore]] = request.param
    opened = await make(servers, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def home() -> str:
    """A prefix that no other test uses."""
    return f"{uuid.uuid4().hex}/"


async def keys_of(store: ObjectStore, prefix: str, after: str = "") -> list[str]:
    return [meta.key async for meta in store.list(prefix, after=after)]


async def put_all(store: ObjectStore, keys: list[str]) -> None:
    slots = asyncio.Semaphore(32)

    async def put(key: str) -> None:
        async with slots:
            await store.put(key, key.encode())

    async with asyncio.TaskGroup() as group:
        for key in keys:
            group.create_task(put(key))


CONTENTS = {
    "empty": b"",
    "one byte": b"x",
    "every byte": bytes(range(256)) * 3,
    "line ends": b"\r\n\n\r\x00",
    "part threshold": b"0123456789abcdef" * (6 * MEBIBYTE // 16),
    "one byte in the second part": bytes(6 * MEBIBYTE) + b"z",
    "three parts": bytes(range(251)) * (12 * MEBIBYTE // 251),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
async def test_get_returns_what_was_put(store: ObjectStore, home: str, content: bytes) -> None:
    await store.put(f"{home}a/b", content)
    assert await store.get(f"{home}a/b") == content
    assert (await store.head(f"{home}a/b")).size_bytes == len(content)


async def test_put_takes_a_view(store: ObjectStore, home: str) -> None:
    large = bytes(range(256)) * (7 * MEBIBYTE // 256)
    await store.put(f"{home}small", memoryview(b"abcdef")[1:4])
    await store.put(f"{home}large", memoryview(large)[1:])
    assert await store.get(f"{home}small") == b"bcd"
    assert await store.get(f"{home}large") == large[1:]


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 10), (3, 7), (9, 10)])
async def test_range_is_half_open(store: ObjectStore, home: str, start: int, end: int) -> None:
    await store.put(f"{home}digits", b"0123456789")
    assert await store.get(f"{home}digits", ByteRange(start, end)) == b"0123456789"[start:end]


async def test_range_over_the_border_of_parts(store: ObjectStore, home: str) -> None:
    content = bytes(range(251)) * (12 * MEBIBYTE // 251)
    await store.put(f"{home}large", content)
    border = 5 * MEBIBYTE
    assert await store.get(f"{home}large", ByteRange(border - 3, border + 4)) == content[border - 3 : border + 4]


@pytest.mark.parametrize(("size", "start", "end"), [(10, 0, 11), (10, 9, 12), (10, 10, 11), (10, 50, 60), (0, 0, 1)])
async def test_range_outside_is_an_error(store: ObjectStore, home: str, size: int, start: int, end: int) -> None:
    await store.put(f"{home}digits", b"0123456789"[:size])
    with pytest.raises(RangeOutsideObject, match=f"get of .*{home}digits"):
        await store.get(f"{home}digits", ByteRange(start, end))


async def test_missing_object(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a/b", b"x")
    for missing in ("nothing", "a", "a/b/c", "nowhere/nothing"):
        with pytest.raises(ObjectNotFound, match=f"get of .*{home}{missing}"):
            await store.get(home + missing)
        with pytest.raises(ObjectNotFound, match=f"get of .*{home}{missing}"):
            await store.get(home + missing, ByteRange(0, 1))
        with pytest.raises(ObjectNotFound, match=f"head of .*{home}{missing}"):
            await store.head(home + missing)


async def test_head_tells_when_it_was_written(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}first", b"1")
    first = await store.head(f"{home}first")
    await store.put(f"{home}second", b"22")
    second = await store.head(f"{home}second")
    assert (first.key, first.size_bytes) == (f"{home}first", 1)
    assert 0 <= second.modified_ns - first.modified_ns < 60_000_000_000
    assert first.modified_ns > 1_600_000_000_000_000_000


async def test_overwrite_replaces(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a", b"a long first content")
    await store.put(f"{home}a", b"short")
    assert await store.get(f"{home}a") == b"short"
    assert await keys_of(store, home) == [f"{home}a"]


ODD_SEGMENTS = [
    "with space",
    "a+b",
    "k=v",
    "100%",
    "%41",
    "%2e%2E",
    "'single' \"double\"",
    "größe-日本-😀",
    "a\u0301 is not \u00e1",
    "<xml>&amp;",
    ".hidden",
    "...",
    "~!@#$^*()[]{}|:;,?`",
    "CON",
    "-",
]


@pytest.mark.parametrize("segment", ODD_SEGMENTS)
async def test_odd_keys_round_trip(store: ObjectStore, home: str, segment: str) -> None:
    file, directory = f"{home}{segment}", f"{home}in/{segment}/file"
    await store.put(file, b"1")
    await store.put(directory, b"2")
    assert await store.get(file) == b"1"
    assert await keys_of(store, home) == sorted([file, directory])
    assert await keys_of(store, f"{home}in/{segment}/") == [directory]
    assert await store.list_prefixes(f"{home}in/") == [f"{home}in/{segment}/"]
    await store.delete([file])
    assert await keys_of(store, home) == [directory]


async def test_keys_are_case_sensitive(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a", b"lower")
    await store.put(f"{home}A", b"upper")
    assert await store.get(f"{home}a") == b"lower"


INVALID_KEYS = [
    *("", "/", "/absolute", "trailing/", "a//b", ".", "..", "../escape", "a/../b", "a/./b", "a/.."),
    *("nul\x00", "line\nend", "tab\t", "delete\x7f", "back\\slash", "\ud800", "é" * 513),
]


async def test_invalid_keys_are_refused(store: ObjectStore) -> None:
    for key in INVALID_KEYS:
        with pytest.raises(InvalidKey):
            await store.get(key)
        with pytest.raises(InvalidKey):
            await store.head(key)
        with pytest.raises(InvalidKey):
            await store.put(key, b"")
        with pytest.raises(InvalidKey):
            await store.delete([key])


async def test_invalid_prefixes_are_refused(store: ObjectStore) -> None:
    for prefix in ("/", "../", "a/../", "a//", "\x00", "\ud800/"):
        with pytest.raises(InvalidKey):
            await keys_of(store, prefix)
        with pytest.raises(InvalidKey):
            await store.list_prefixes(prefix)


async def test_list_is_in_byte_order(store: ObjectStore, home: str) -> None:
    # '-' < '.' < '/' < '0': a walk of directories would give a/… before a-b; U+FFFD sorts before U+1F600 in UTF-8 only.
    names = ["a-b", "a.b", "a/0", "a/b/c", "a/b-c", "a0", "B", "b", "é", "\ufffd", "\U0001f600", "z/a", "za"]
    await put_all(store, [home + name for name in names])
    assert await keys_of(store, home) == [home + name for name in sorted(names, key=str.encode)]


async def test_list_tells_sizes(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a", b"1")
    await store.put(f"{home}b", b"22")
    metas = [meta async for meta in store.list(home)]
    assert [(meta.key, meta.size_bytes) for meta in metas] == [(f"{home}a", 1), (f"{home}b", 2)]
    assert all(meta.modified_ns > 1_600_000_000_000_000_000 for meta in metas)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["a/1", "ab/2", "ab/3", "abc", "b"]),
        ("a", ["a/1", "ab/2", "ab/3", "abc"]),
        ("ab", ["ab/2", "ab/3", "abc"]),
        ("ab/", ["ab/2", "ab/3"]),
        ("ab/3", ["ab/3"]),
        ("ab/3/", []),
        ("abc", ["abc"]),
        ("c", []),
        ("nothing/here/", []),
    ],
)
async def test_list_by_prefix(store: ObjectStore, home: str, prefix: str, found: list[str]) -> None:
    await put_all(store, [home + name for name in ("a/1", "ab/2", "ab/3", "abc", "b")])
    assert await keys_of(store, home + prefix) == [home + name for name in found]


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("", ["a-c", "a/0", "a/2", "b"]),
        ("a-c", ["a/0", "a/2", "b"]),
        ("a/0", ["a/2", "b"]),
        ("a/1", ["a/2", "b"]),
        ("a/2", ["b"]),
        ("b", []),
    ],
)
async def test_list_after_a_key(store: ObjectStore, home: str, after: str, found: list[str]) -> None:
    await put_all(store, [home + name for name in ("a-c", "a/0", "a/2", "b")])
    assert await keys_of(store, home, after=home + after) == [home + name for name in found]


async def test_list_is_complete_over_pages(store: ObjectStore, home: str) -> None:
    keys = [f"{home}{number % 3}/{number:04}" for number in range(1_100)]
    await put_all(store, keys)
    assert await keys_of(store, home) == sorted(keys)
    assert await keys_of(store, home, after=f"{home}1/1000") == [key for key in sorted(keys) if key > f"{home}1/1000"]
    assert await store.list_prefixes(home) == [f"{home}0/", f"{home}1/", f"{home}2/"]


async def test_prefixes_are_the_next_directories(store: ObjectStore, home: str) -> None:
    await put_all(store, [home + name for name in ("file", "b/1", "b/2", "a-/1", "a/deep/er/1", "c")])
    assert await store.list_prefixes(home) == [f"{home}a-/", f"{home}a/", f"{home}b/"]
    assert await store.list_prefixes(f"{home}a/") == [f"{home}a/deep/"]
    assert await store.list_prefixes(f"{home}b/") == []
    assert await store.list_prefixes(f"{home}nothing/") == []
    assert home in await store.list_prefixes("")


async def test_delete_removes_only_what_it_names(store: ObjectStore, home: str) -> None:
    names = [f"{home}{number}" for number in range(30)]
    await put_all(store, [*names, f"{home}stays"])
    await store.delete(names)
    assert await keys_of(store, home) == [f"{home}stays"]
    with pytest.raises(ObjectNotFound):
        await store.get(names[0])


async def test_deleting_missing_keys_succeeds(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a", b"x")
    await store.delete([])
    await store.delete([f"{home}nothing", f"{home}nowhere/nothing", f"{home}a", f"{home}a"])
    assert await keys_of(store, home) == []


async def test_an_emptied_directory_gives_its_name_back(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a/b/c", b"x")
    await store.delete([f"{home}a/b/c"])
    await store.put(f"{home}a", b"now a file")
    assert await store.get(f"{home}a") == b"now a file"
    assert await keys_of(store, home) == [f"{home}a"]


async def test_put_if_absent(store: ObjectStore, home: str) -> None:
    await store.put(f"{home}a/b", b"first", if_absent=True)
    with pytest.raises(ObjectExists, match=f"put of .*{home}a/b"):
        await store.put(f"{home}a/b", b"second", if_absent=True)
    with pytest.raises(ObjectExists):
        await store.put(f"{home}a/b", bytes(7 * MEBIBYTE), if_absent=True)
    assert await store.get(f"{home}a/b") == b"first"
    await store.delete([f"{home}a/b"])
    await store.put(f"{home}a/b", b"third", if_absent=True)
    assert await store.get(f"{home}a/b") == b"third"


async def test_one_of_many_conditional_puts_wins(store: ObjectStore, home: str) -> None:
    async def put(key: str, writer: int) -> int | None:
        try:
            await store.put(key, b"%d" % writer, if_absent=True)
        except ObjectExists:
            return None
        return writer

    outcomes = await asyncio.gather(*(put(f"{home}race", writer) for writer in range(16)))
    (winner,) = [outcome for outcome in outcomes if outcome is not None]
    assert await store.get(f"{home}race") == b"%d" % winner


async def test_conditional_put_is_found_to_work(store: ObjectStore, home: str) -> None:
    assert await probe_conditional_put(store, home) is ConditionalPut.WORKS
    assert await keys_of(store, home) == []


async def test_reader_sees_all_or_nothing_of_an_overwrite(store: ObjectStore, home: str) -> None:
    versions = [bytes([letter]) * (256 * 1024 + letter) for letter in b"abcdefgh"]
    await store.put(f"{home}a", versions[0])
    written = asyncio.Event()

    async def read() -> int:
        reads = 0
        while not written.is_set():
            with suppress(StoreUnavailable):  # moto closes what it overwrites while others read it
                assert await store.get(f"{home}a") in versions
                reads += 1
        return reads

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(4)]
        for version in versions[1:] * 3:
            await store.put(f"{home}a", version)
        written.set()
    assert sum(reader.result() for reader in readers) > 0
    assert await store.get(f"{home}a") == versions[-1]


async def test_list_while_others_write_and_delete(store: ObjectStore, home: str) -> None:
    stays = [f"{home}stays/{number}" for number in range(20)]
    comes = [f"{home}comes/{number % 2}/{number}" for number in range(40)]
    await put_all(store, stays)
    written = asyncio.Event()

    async def write() -> None:
        for _ in range(2):
            await put_all(store, comes)
            await store.delete(comes)
        written.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        while not written.is_set():
            with suppress(StoreUnavailable):  # moto answers 500 when keys change while it goes over them
                found = await keys_of(store, home)
                assert [key for key in found if key in stays] == sorted(stays)
                assert found == sorted(set(found))
    assert await keys_of(store, home) == sorted(stays)
