"""Why a push is refused as a whole. A single bad stream or entry is not an exception (`services.validation`)."""

from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError


class PushError(LogAggregatorError):
    """The body of a push cannot be read; nothing of it was stored."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


class InvalidPush(PushError):
    """The body is not what its headers say, or breaks the push schema. Sending it again cannot succeed."""


class EmptyPush(PushError):
    """Well formed, but without a single stream."""

    code: ClassVar[ErrorCode] = ErrorCode.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("error at least one valid stream is required for ingestion")


class PushTooLarge(PushError):
    """The body, once decompressed, or the labels of a stream are over the limit."""

    code: ClassVar[ErrorCode] = ErrorCode.TOO_LARGE

    def __init__(self, detail: str) -> None:
        super().__init__(f"request body too large: {detail}")

    @classmethod
    def decompressed(cls, size_bytes: int, max_bytes: int) -> "PushTooLarge":
        """`size_bytes` is what is known when reading stops: the announced size, or the first byte too many."""
        return cls(f"decompressed message size too large than max ({size_bytes} vs {max_bytes})")
