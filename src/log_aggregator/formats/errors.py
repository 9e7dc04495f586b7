"""What can be wrong with bytes that were stored."""

from typing import ClassVar, Final

from log_aggregator.errors import ErrorCode, LogAggregatorError


class CorruptData(LogAggregatorError):
    """Stored bytes fail their checksum or their own grammar. The message names the object or record."""

    code: ClassVar[ErrorCode] = ErrorCode.CORRUPT


class UnknownVersion(LogAggregatorError):
    """Stored bytes of a version that this program does not know; a newer program wrote them."""

    code: ClassVar[ErrorCode] = ErrorCode.UNSUPPORTED

    def __init__(self, kind: str, version: int, known: int) -> None:
        super().__init__(f"{kind} has version {version}, but this program reads up to {known}: upgrade it")


DAMAGE: Final = (CorruptData, UnknownVersion)
"""What may be wrong with one object alone."""
