"""Files below a directory by key: atomic, durable writes and complete listings. Blocking; raises OSError."""

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from log_aggregator.storage.errors import ObjectExists
from log_aggregator.storage.store import ByteRange, ObjectMeta, check_key, check_range

# Files that are being written. No key leads here, because a segment's leading dot is escaped.
_UPLOADS = ".uploads"
# What tells this directory from another at the same place, such as the mount point of a file system that is gone.
_IDENTITY = ".identity"
# A temporary file that old has lost its writer.
_STALE_SECONDS = 24 * 3600
# A concurrent removal may take a directory away between its creation and its use, but hardly this often in a row.
_PUBLISH_ATTEMPTS = 10


class FileTree:
    """A key's segments are directories and a file name, so that other programs find the Parquet files in place."""

    def __init__(self, root: Path) -> None:
        """Creates the root if need be, and removes what writers that died have left behind."""
        self._root = root
        uploads = self._root / _UPLOADS
        uploads.mkdir(parents=True, exist_ok=True)
        self._identity = self._identify()
        oldest = time.time() - _STALE_SECONDS
        for path in uploads.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def read(self, key: str, byte_range: ByteRange | None) -> bytes:
        """Raises RangeOutsideObject."""
        with self._present(), self._path(key).open("rb") as file:
            if byte_range is None:
                return file.read()
            check_range(key, byte_range, os.fstat(file.fileno()).st_size)
            file.seek(byte_range.start)
            return file.read(byte_range.length)

    def meta(self, key: str) -> ObjectMeta:
        with self._present():
            status = self._path(key).stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return ObjectMeta(key, status.st_size, status.st_mtime_ns)

    def write(self, key: str, data: bytes | memoryview, *, if_absent: bool) -> None:
        """Raises ObjectExists if `if_absent` and the file exists."""
        path = self._path(key)
        self._check_mounted()
        with self._temporary(data) as temporary:
            self._publish(temporary, key, if_absent)
        # Also the directories that another writer is just creating: this file's durability depends on them.
        for directory in self._ancestors(path):
            with suppress(FileNotFoundError):  # our file is removed again already
                _sync_directory(directory)

    def remove(self, keys: Iterable[str]) -> None:
        """Missing files are no error. Directories that become empty go too."""
        paths = [self._path(key) for key in keys]
        self._check_mounted()
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
        for directory in {path.parent for path in paths}:
            self._remove_if_empty(directory)

    def child_directories(self, prefix: str) -> list[str]:
        """Segments directly below a prefix that is empty or ends in '/', in no order."""
        return [_segment(entry.name) for entry in self._entries(prefix) if entry.is_dir()]

    def walk(self, prefix: str) -> Iterator[ObjectMeta]:
        """Every file whose key starts with the prefix, in no order."""
        directories = [prefix[: prefix.rfind("/") + 1]]
        while directories:
            directory = directories.pop()
            for entry in self._entries(directory):
                key = directory + _segment(entry.name)
                if not key.startswith(prefix):
                    continue
                if entry.is_dir():
                    directories.append(f"{key}/")
                else:
                    with suppress(FileNotFoundError):  # removed meanwhile
                        status = entry.stat()
                        yield ObjectMeta(key, status.st_size, status.st_mtime_ns)

    def _identify(self) -> bytes:
        """What the first that came here has written; nothing where none has and nobody can."""
        path = self._root / _IDENTITY
        if not path.exists():
            try:
                with self._temporary(uuid.uuid4().hex.encode()) as temporary, suppress(FileExistsError):
                    os.link(temporary, path)
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise
                return b""
            _sync_directory(self._root)
        return path.read_bytes()

    @contextmanager
    def _temporary(self, data: bytes | memoryview) -> Iterator[Path]:
        path = self._root / _UPLOADS / uuid.uuid4().hex
        try:
            _write_synced(path, data)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*map(_file_name, check_key(key).split("/")))

    def _publish(self, temporary: Path, key: str, if_absent: bool) -> None:
        path = self._path(key)
        for _ in range(_PUBLISH_ATTEMPTS):
            with suppress(FileNotFoundError):
                for directory in reversed(self._ancestors(path)[:-1]):
                    directory.mkdir(exist_ok=True)
                return _link(temporary, path, key) if if_absent else os.replace(temporary, path)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _remove_if_empty(self, directory: Path) -> None:
        """The directory and then those above it. The one that remains is synced, so that removals are durable."""
        while directory != self._root:
            try:
                directory.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
                    raise
                break
            directory = directory.parent
        with suppress(FileNotFoundError, NotADirectoryError):
            _sync_directory(directory)

    def _ancestors(self, path: Path) -> list[Path]:
        """The directories that lead to a file, from its own up to the root."""
        return list(path.parents[: len(path.relative_to(self._root).parts)])

    def _entries(self, prefix: str) -> list[os.DirEntry[str]]:
        """What lies in the directory of a prefix that is empty or ends in '/'."""
        directory = self._root.joinpath(*map(_file_name, prefix.split("/")[:-1]))
        try:
            with self._present(), os.scandir(directory) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        if not found:
            self._check_mounted()
        return found

    @contextmanager
    def _present(self) -> Iterator[None]:
        """Before it is believed that something is not there."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            self._check_mounted()
            raise

    def _check_mounted(self) -> None:
        """A file system that is not mounted must not look like an empty store, as its mount point does."""
        try:
            is_mounted = (self._root / _IDENTITY).read_bytes() == self._identity
        except (FileNotFoundError, NotADirectoryError):
            is_mounted = not self._identity
        if not is_mounted:
            message = (
                f"{self._root} is not the directory that it was at the start; is it mounted, or has it been since?"
            )
            raise OSError(errno.ENODEV, message)


def _file_name(segment: str) -> str:
    """A segment as a file name: no leading dot, so that it is neither hidden nor '..'."""
    escaped = segment.replace("%", "%25")
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def _segment(file_name: str) -> str:
    return unquote(file_name)


def _link(temporary: Path, path: Path, key: str) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise ObjectExists(f"put of {key}: the object already exists") from error


def _write_synced(path: Path, data: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
