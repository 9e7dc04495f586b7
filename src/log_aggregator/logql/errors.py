"""What is wrong with a query's text."""

from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError


class ParseError(LogAggregatorError):
    """In Loki's words. Lines and columns count from 1; both 0 where the error has no place.

    Behind durations, sizes and two-character operators Loki gives line 0, and so do we.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        place = f"parse error at line {line}, col {column}: " if line or column else "parse error : "
        super().__init__(place + message)
        self.message = message
        self.line = line
        self.column = column
