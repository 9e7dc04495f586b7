"""What can go wrong with a template: when it is compiled, when it runs, and inside one of its functions."""

from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError


class TemplateError(LogAggregatorError):
    """The text is not a template. The message is Go's, such as `template: line:1: function "x" not defined`."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


class TemplateRuntimeError(LogAggregatorError):
    """A template failed on one entry. The message is Go's: place, offending expression, cause."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


class CallError(LogAggregatorError):
    """A template function refused its arguments; the evaluator adds the place and the function's name."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID
