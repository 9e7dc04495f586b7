"""The S3 client library's exceptions as ours. No other module knows them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import ClientError as HttpError
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.errors import (
    ObjectExists,
    ObjectNotFound,
    RangeOutsideObject,
    StorePermissionDenied,
    StoreRefused,
    StoreUnavailable,
)

_TRANSIENT = (
    *(HTTPClientError, ConnectionError, IncompleteReadError, ChecksumError, FlexibleChecksumError),
    *(CredentialRetrievalError, MetadataRetrievalError, ResponseParserError, HttpError, OSError, TimeoutError),
)
# With statuses that say otherwise.
_TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeTooSkewed", "NoSuchUpload", "Throttling", "SlowDown"})
_DENIED_CODES = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"})
# With 403, but it is one object that an archive (GLACIER) must give back first: our credentials are good for others.
_ARCHIVED = "InvalidObjectState"


@contextmanager
def our_errors(operation: str, where: str) -> Iterator[None]:
    """Translates what the client raises. `where` is the bucket and key for the message."""
    try:
        yield
    except ClientError as error:
        raise _of_answer(operation, where, _Answer.of(error)) from error
    except _TRANSIENT as error:
        raise StoreUnavailable(f"{operation} of {where}: {_first_line(error)}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StorePermissionDenied(f"{operation} of {where}: {_first_line(error)}") from error
    except BotoCoreError as error:
        raise StoreRefused(f"{operation} of {where}: {_first_line(error)}") from error


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP answer that is not a success."""

    status: int
    code: str
    message: str

    @classmethod
    def of(cls, error: ClientError) -> "_Answer":
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return cls(int(status), _told(told.get("Code")), _told(told.get("Message")))

    def __str__(self) -> str:
        # The answer to a HEAD has no body, and the client then repeats the status as the code.
        code = "" if self.code == str(self.status) else f" {self.code}"
        return f"status {self.status}{code}" + (f": {self.message}" if self.message else "")


def _told(value: str | None) -> str:
    """Empty elements arrive as None."""
    return "" if value is None else value


def _of_answer(operation: str, where: str, answer: _Answer) -> LogAggregatorError:
    return _kind(operation, answer)(f"{operation} of {where}: {answer}")


def _kind(operation: str, answer: _Answer) -> type[LogAggregatorError]:
    if answer.code in _TRANSIENT_CODES:
        return StoreUnavailable
    if answer.code in _DENIED_CODES:
        return StorePermissionDenied
    if answer.code == _ARCHIVED:
        return StoreRefused
    match answer.status:
        case 404 if operation in ("get", "head") and answer.code != "NoSuchBucket":
            return ObjectNotFound
        case 412:
            return ObjectExists
        case 416:
            return RangeOutsideObject
        case 401 | 403:
            return StorePermissionDenied
        case 409 | 429:  # 409: another write to the same key is just going on
            return StoreUnavailable
        case 501:
            return StoreRefused
        case status if status >= 500:
            return StoreUnavailable
        case _:
            return StoreRefused


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
