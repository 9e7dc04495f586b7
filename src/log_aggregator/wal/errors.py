"""What an append or a commit can meet."""

from typing import ClassVar, Final

from log_aggregator.errors import ErrorCode, LogAggregatorError

_PUBLIC: Final = "the write-ahead log is not available, try again later"


class WalUnavailable(LogAggregatorError):
    """Redis did not answer, or not in time. Whether a write took effect is unknown."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _PUBLIC


class InvalidRedisUrl(LogAggregatorError):
    """Says what is wrong and repeats nothing of the URL, which may hold a password."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


class WalFull(LogAggregatorError):
    """Redis refused a write because its memory is full. Nothing was written."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = "the write-ahead log is full, try again later"


class Fenced(LogAggregatorError):
    """The lease is no longer ours. Nothing was written; another replica has or will have the log's records."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _PUBLIC


class RecordsLost(LogAggregatorError):
    """Redis came back with an older state of the log than it had confirmed. Nothing was written."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _PUBLIC


class HeadMoved(LogAggregatorError):
    """The newest record of the log is not the one that its holder knows. Nothing was written."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _PUBLIC
