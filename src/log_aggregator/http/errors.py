"""The one table from error codes to HTTP statuses, and how an error looks to a client."""

from traceback import clear_frames

from sanic.response import HTTPResponse, text

from log_aggregator.errors import ErrorCode, LogAggregatorError, failures_of

STATUS = {
    ErrorCode.INVALID: 400,
    ErrorCode.UNPROCESSABLE: 422,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.CORRUPT: 500,
    ErrorCode.UNSUPPORTED: 500,
    ErrorCode.INTERNAL: 500,
}

# Agents that honour it come back this much later; the others have their own backoff.
RETRY_AFTER_SECONDS = 1


def error_response(message: str, status: int) -> HTTPResponse:
    """Plain text, as Loki answers queries that fail."""
    headers = {"X-Content-Type-Options": "nosniff"}
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    # What a client sent may be no text, and be repeated.
    message = message.encode(errors="replace").decode()
    return text(message, status=status, headers=headers, content_type="text/plain; charset=utf-8")


def error_line(message: str, status: int) -> HTTPResponse:
    """The same as a line of its own, as Loki answers where something else than a query fails."""
    return error_response(message + "\n", status)


def first_error(error: BaseException) -> BaseException:
    """What a group of concurrent failures is reported as: the first of ours, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    failures = failures_of(error)
    return next((failure for failure in failures if isinstance(failure, LogAggregatorError)), failures[0])


def let_go(error: BaseException) -> None:
    """Of what the functions held that the error came through.

    Errors, their tracebacks and tasks refer to each other in circles. What a refused query or push had made would
    otherwise stay in memory until the interpreter next looks for such circles, which it does ever more rarely.
    """
    clear_frames(error.__traceback__)
    causes = (error.__cause__, error.__context__, *(error.exceptions if isinstance(error, BaseExceptionGroup) else ()))
    error.__traceback__ = error.__context__ = error.__cause__ = None
    for cause in causes:
        if cause is not None:
            let_go(cause)


def status_of(error: LogAggregatorError) -> int:
    return STATUS[error.code]
