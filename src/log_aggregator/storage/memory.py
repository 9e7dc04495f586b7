"""Objects in a dictionary, for tests and experiments: lost with the process."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from log_aggregator.clock import Clock, SystemClock
from log_aggregator.storage.errors import ObjectExists, ObjectNotFound
from log_aggregator.storage.store import ByteRange, ObjectMeta, check_key, check_prefix, check_range, child_prefix


class MemoryStore:
    """Every operation gives way to other tasks once, as a real store would, and is then done in one step."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._objects: dict[str, tuple[bytes, ObjectMeta]] = {}

    def copy(self) -> "MemoryStore":
        """Another one with what is in this one now."""
        other = MemoryStore(self._clock)
        other._objects.update(self._objects)
        return other

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        data, meta = await self._find("get", key)
        if byte_range is None:
            return data
        check_range(key, byte_range, meta.size_bytes)
        return data[byte_range.start : byte_range.end]

    async def head(self, key: str) -> ObjectMeta:
        return (await self._find("head", key))[1]

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        content = bytes(data)
        await asyncio.sleep(0)
        if if_absent and key in self._objects:
            raise ObjectExists(f"put of {key}: the object already exists")
        self._objects[check_key(key)] = (content, ObjectMeta(key, len(content), self._clock.now_ns()))

    async def delete(self, keys: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for key in keys:
            self._objects.pop(check_key(key), None)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        await asyncio.sleep(0)
        check_prefix(prefix)
        children = {child_prefix(key, prefix) for key in self._objects if key.startswith(prefix)}
        return sorted(child for child in children if child is not None)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        await asyncio.sleep(0)
        check_prefix(prefix)
        metas = [meta for _, meta in self._objects.values() if meta.key.startswith(prefix) and meta.key > after]
        for meta in sorted(metas, key=lambda meta: meta.key):
            yield meta

    async def close(self) -> None:
        pass

    async def _find(self, operation: str, key: str) -> tuple[bytes, ObjectMeta]:
        await asyncio.sleep(0)
        found = self._objects.get(check_key(key))
        if found is None:
            raise ObjectNotFound(f"{operation} of {key}: no such object")
        return found
