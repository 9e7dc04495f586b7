"""Functions and methods with the Go types of their parameters, which decide what arguments they take."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from log_aggregator.logql.template.gotime import Duration, Location, Time
from log_aggregator.logql.template.limits import REGEX_COMPILE_WORK_BYTES, Budget
from log_aggregator.logql.template.regex import Regex, RegexCache
from log_aggregator.logql.template.values import Value


class Type(Enum):
    """A parameter's type; the value is its Go name."""

    STRING = "string"
    INT = "int"
    FLOAT = "float64"
    DURATION = "time.Duration"
    TIME = "time.Time"
    LOCATION = "*time.Location"
    ANY = "interface {}"
    VALUE = "reflect.Value"  # any value as it is, an interface not taken out of its box


PYTHON_TYPES: dict[Type, type] = {
    Type.STRING: bytes,
    Type.INT: int,
    Type.FLOAT: float,
    Type.DURATION: Duration,
    Type.TIME: Time,
    Type.LOCATION: Location,
}


@dataclass(frozen=True, slots=True)
class Context:
    """What functions know beside their arguments."""

    line: bytes
    timestamp_ns: int
    now_ns: Callable[[], int]
    regexes: RegexCache
    budget: Budget

    def regex(self, pattern: bytes) -> Regex:
        """Raise CallError, with Go's message, if the pattern is no regular expression."""
        if pattern not in self.regexes:
            self.budget.work(REGEX_COMPILE_WORK_BYTES)
        return self.regexes.get(pattern)


@dataclass(frozen=True, slots=True)
class Function:
    """`call` takes a value per parameter, for a variadic one any number; raises CallError if it cannot answer."""

    params: tuple[Type, ...]
    call: Callable[..., Value]
    variadic: bool = False
    needs_context: bool = False  # takes the Context before its arguments
    weight: int = 1  # work done, in bytes for each byte of its arguments

    def type_of(self, index: int) -> Type:
        return self.params[min(index, len(self.params) - 1)]
