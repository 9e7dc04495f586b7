"""The object store as the services need it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from log_aggregator.storage.errors import InvalidKey, RangeOutsideObject

# S3's limit, in UTF-8.
MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `[start, end)` of an object; never empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"not a byte range: [{self.start}, {self.end})")

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What a store tells about an object without reading it. Some servers know `modified_ns` only to the second."""

    key: str
    size_bytes: int
    modified_ns: int


class ObjectStore(Protocol):
    """Bytes by key.

    Keys are flat and satisfy `check_key`; '/' separates the segments that `list_prefixes` walks. A key must not be
    another key plus '/': a store of files cannot hold both. Every method may raise InvalidKey, StoreUnavailable
    (transient), StorePermissionDenied or StoreRefused.
    """

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """The object, or exactly the bytes of the range. Raises ObjectNotFound, RangeOutsideObject."""
        ...

    async def head(self, key: str) -> ObjectMeta:
        """Raises ObjectNotFound."""
        ...

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Creates or replaces the object: a reader sees all of it or nothing, and it is durable on return.

        With `if_absent`, of several writers exactly one succeeds and the others raise ObjectExists. After
        StoreUnavailable the object may exist all the same, so a repeated conditional put may meet its own object.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Deleting a missing key succeeds. After an error some of the keys may be gone."""
        ...

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        """The "directories" directly below the prefix, as full prefixes that end in '/', sorted.

        The prefix is empty or ends in '/'. One whose objects are all deleted may still be listed for a while.
        """
        ...

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        """Every object whose key starts with the prefix and is greater than `after`, in UTF-8 byte order of the key.

        An object that exists during the whole listing is in it; one that comes or goes meanwhile may be.
        """
        ...

    async def close(self) -> None:
        """Gives connections back. The store must not be used afterwards."""
        ...


def check_key(key: str) -> str:
    """The key, if every kind of store can hold it. Raises InvalidKey.

    Empty, '.' and '..' segments are refused because servers and file systems give them a meaning; backslashes, because
    SeaweedFS takes them for slashes; control characters, because S3's XML cannot carry them.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidKey(f"key is not valid Unicode: {key!r}") from error
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"key has {size} bytes, at most {MAX_KEY_BYTES} are allowed: {key!r}")
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        raise InvalidKey(f"key has an empty, '.' or '..' segment: {key!r}")
    if any(character < " " or character in "\x7f\\" for character in key):
        raise InvalidKey(f"key has a backslash or a control character: {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix, if some valid key starts with it. Raises InvalidKey."""
    if prefix:
        check_key(prefix + "x" if prefix.endswith(("/", ".")) else prefix)
    return prefix


def check_range(key: str, byte_range: ByteRange, size_bytes: int) -> None:
    """Raises RangeOutsideObject unless the range lies in an object of that size."""
    if byte_range.end > size_bytes:
        raise RangeOutsideObject(
            f"get of {key}: bytes [{byte_range.start}, {byte_range.end}) of an object of {size_bytes} bytes"
        )


def child_prefix(key: str, prefix: str) -> str | None:
    """The prefix directly below `prefix` that the key lies under, if there is one between them."""
    name, slash, _ = key.removeprefix(prefix).partition("/")
    return f"{prefix}{name}/" if slash else None
