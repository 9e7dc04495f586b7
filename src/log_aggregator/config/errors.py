"""What is wrong with a configuration."""

from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError


class ConfigError(LogAggregatorError):
    """Says where: file, line, column and the dotted path of the key."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID
