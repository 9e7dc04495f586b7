"""What an operation on an object store can meet. Messages name the operation and the key, never a secret."""

from typing import ClassVar, Final

from log_aggregator.errors import ErrorCode, LogAggregatorError

_UNAVAILABLE: Final = "the object store is not available, try again later"
_UNEXPECTED: Final = "the object store does not hold what was expected"


class ObjectNotFound(LogAggregatorError):
    """No object has the key."""

    code: ClassVar[ErrorCode] = ErrorCode.NOT_FOUND
    public: ClassVar[str] = _UNEXPECTED


class ObjectExists(LogAggregatorError):
    """A conditional put lost: the key already has an object, which was left alone."""

    code: ClassVar[ErrorCode] = ErrorCode.CONFLICT
    public: ClassVar[str] = _UNEXPECTED


class InvalidKey(LogAggregatorError):
    """A key that no store accepts (see `check_key`), or that this store cannot hold."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID
    public: ClassVar[str] = _UNEXPECTED


class RangeOutsideObject(LogAggregatorError):
    """A ranged get reached past the object's end: whoever named the range believes in other bytes."""

    code: ClassVar[ErrorCode] = ErrorCode.CORRUPT
    public: ClassVar[str] = _UNEXPECTED


class StoreUnavailable(LogAggregatorError):
    """Timeout, lost connection, throttling, a failing server: worth another try. A put may have taken effect."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _UNAVAILABLE


class StorePermissionDenied(LogAggregatorError):
    """The store refused our credentials. Whoever pushes or queries is not at fault and should come back later."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _UNAVAILABLE


class StoreRefused(LogAggregatorError):
    """The store rejected the request in a way that a repetition will not cure: no such bucket, wrong region."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = _UNAVAILABLE
