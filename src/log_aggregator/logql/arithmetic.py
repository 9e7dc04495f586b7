"""Operations of two number literals, done when a query is parsed: a comparison gives 1 or 0."""

import math
import operator
from collections.abc import Callable


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan


def _modulo(left: float, right: float) -> float:
    return math.fmod(left, right) if right and math.isfinite(left) else math.nan


def power(left: float, right: float) -> float:
    """Go's math.Pow, which has an answer for everything."""
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ValueError:
        if left == 0:
            return math.copysign(math.inf, left) if right % 2 == 1 else math.inf
        return math.nan


def square_root(value: float) -> float:
    """Go's: of a variance of numbers too large to be squared, which comes out negative, there is none."""
    return math.nan if value < 0 else math.sqrt(value)


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": power,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def fold_literals(name: str, left: float, right: float) -> float:
    if name in ARITHMETIC:
        return ARITHMETIC[name](left, right)
    return float(COMPARISONS[name](left, right))
