"""The root of the project's exceptions.

Concrete errors live beside the code that raises them; each carries an `ErrorCode`, and one table in
`http/errors.py` turns codes into HTTP statuses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar, TypeVar

Failure = TypeVar("Failure", bound=BaseException)


class ErrorCode(StrEnum):
    """What went wrong, in words that do not depend on a transport."""

    INVALID = "invalid"  # the caller sent something that can never succeed
    UNPROCESSABLE = "unprocessable"  # well formed, but holds nothing to work on
    UNAUTHENTICATED = "unauthenticated"  # no tenant
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # a conditional operation lost
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"  # a dependency is down or full; try again later
    CORRUPT = "corrupt"  # stored bytes are not what was written
    UNSUPPORTED = "unsupported"  # stored bytes of a version this program does not know
    INTERNAL = "internal"


def failures_of(group: BaseExceptionGroup[Failure]) -> list[Failure]:
    """All that failed, in groups within the group too."""
    found: list[Failure] = []
    for error in group.exceptions:
        found += failures_of(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def first_of(error: BaseException) -> BaseException:
    """The first failure of a group of concurrent ones; the error itself if it is no group."""
    return failures_of(error)[0] if isinstance(error, BaseExceptionGroup) else error


class LogAggregatorError(Exception):
    """Every error that the project raises on purpose. `told` is safe to show to a client."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    public: ClassVar[str] = ""
    """Where `str(error)` may name keys, hosts or paths, which are for the operator: what a client hears instead."""

    @property
    def told(self) -> str:
        return self.public or str(self)


@contextmanager
def collected(failures: list[LogAggregatorError], *kinds: type[LogAggregatorError]) -> Iterator[None]:
    """What fails in the block in one of these ways, alone or in groups, joins the others; the block ends there."""
    try:
        yield
    except* kinds as group:
        failures += failures_of(group)
