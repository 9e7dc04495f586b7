"""A cache bounded by the size of what it holds."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class SizedLru(Generic[Key, Value]):
    """Forgets what was not used for longest. Sizes are bytes, as the caller tells them. For several threads."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._used = 0
        self._lock = Lock()
        self._items: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            self._items.move_to_end(key)
            return item[0]

    def put(self, key: Key, value: Value, size_bytes: int) -> None:
        """A value larger than the whole cache is not kept."""
        with self._lock:
            self._discard(key)
            if size_bytes > self.capacity_bytes:
                return
            self._items[key] = (value, size_bytes)
            self._used += size_bytes
            while self._used > self.capacity_bytes:
                _, (_, size) = self._items.popitem(last=False)
                self._used -= size

    def discard(self, key: Key) -> None:
        with self._lock:
            self._discard(key)

    def _discard(self, key: Key) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._used -= item[1]

    @property
    def used_bytes(self) -> int:
        return self._used
