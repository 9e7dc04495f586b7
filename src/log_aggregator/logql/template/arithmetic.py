"""The arithmetic functions of Loki's templates."""

import math
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation

from log_aggregator.logql.template.casts import to_float, to_int
from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.limits import MAX_DECIMAL_DIGITS
from log_aggregator.logql.template.signatures import Function, Type
from log_aggregator.logql.template.strconv import wrap_int64
from log_aggregator.logql.template.values import Int64, Value

# Decimal places to which a quotient is rounded.
_QUOTIENT_PLACES = 16
_EXACT = Context(MAX_DECIMAL_DIGITS, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact, InvalidOperation])


def _add(*values: Value) -> Int64:
    return Int64(wrap_int64(sum(map(to_int, values))))


def _multiply(*values: Value) -> Int64:
    return Int64(wrap_int64(math.prod(map(to_int, values))))


def _subtract(first: Value, second: Value) -> Int64:
    return Int64(wrap_int64(to_int(first) - to_int(second)))


def _divide(first: Value, second: Value) -> Int64:
    """Divide towards zero."""
    return Int64(wrap_int64(_quotient(to_int(first), to_int(second))))


def _modulo(first: Value, second: Value) -> Int64:
    """The rest of the division, with the sign of the first number."""
    dividend, divisor = to_int(first), to_int(second)
    return Int64(dividend - _quotient(dividend, divisor) * divisor)


def _quotient(dividend: int, divisor: int) -> int:
    if not divisor:
        raise CallError("runtime error: integer divide by zero")
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _decimal(value: Value) -> Decimal:
    """A float as the decimal number it is printed as, so that 0.1 is a tenth."""
    number = to_float(value)
    if not math.isfinite(number):
        shown = "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
        raise CallError(f"Cannot create a Decimal from {shown}")
    return Decimal(repr(number))


def _decimal_quotient(first: Decimal, second: Decimal) -> Decimal:
    """Divide, rounding half away from zero."""
    if not second:
        raise CallError("decimal division by 0")
    dividend, divisor = _EXACT.abs(first).scaleb(_QUOTIENT_PLACES, _EXACT), _EXACT.abs(second)
    halves = _EXACT.add(_EXACT.multiply(2, dividend), divisor)
    rounded = _EXACT.divide_int(halves, _EXACT.multiply(2, divisor)).scaleb(-_QUOTIENT_PLACES, _EXACT)
    return rounded if (first < 0) == (second < 0) else _EXACT.minus(rounded)


def _folded(operation: Callable[[Decimal, Decimal], Decimal]) -> Callable[..., float]:
    def fold(first: Value, *rest: Value) -> float:
        result = _decimal(first)
        try:
            for value in rest:
                result = operation(result, _decimal(value))
        except (Inexact, InvalidOperation):
            raise CallError("decimal number too long") from None
        return float(result) if result else 0.0  # which has no sign

    return fold


_sum = _folded(_EXACT.add)


def _round(value: Value, places: int, *threshold: float) -> float:
    """Round to decimal places, up from the threshold on; below zero this always rounds down but for whole numbers."""
    power = _power_of_ten(places)
    scaled = power * to_float(value)
    if not math.isfinite(scaled):
        return scaled / power
    limit = threshold[0] if threshold else 0.5
    rounded = _ceil(scaled) if math.modf(scaled)[0] >= limit else _floor(scaled)
    return rounded / power if power else math.nan if not rounded else math.copysign(math.inf, rounded)


def _power_of_ten(places: int) -> float:
    try:
        return 10.0**places if places >= 0 else 1 / 10.0**-places
    except OverflowError:
        return math.inf if places > 0 else 0.0


def _floor(number: float) -> float:
    return float(math.floor(number)) if math.isfinite(number) and number else number


def _ceil(number: float) -> float:
    if not math.isfinite(number):
        return number
    return math.copysign(math.ceil(number), number)  # -0.5 becomes -0


def _extreme(choose: Callable[[float, float], float]) -> Callable[..., float]:
    def extreme(first: Value, *rest: Value) -> float:
        result = to_float(first)
        for value in rest:
            result = choose(result, to_float(value))
        return result

    return extreme


def _maximum(first: float, second: float) -> float:
    """Infinity beats NaN, NaN beats any number, 0 beats -0."""
    if math.inf in (first, second):
        return math.inf
    if math.isnan(first) or math.isnan(second):
        return math.nan
    return max(first, second) if first or second else first + second


def _minimum(first: float, second: float) -> float:
    return -_maximum(-first, -second)


_ANYTHING = (Type.ANY,)
_ONE_AND_MORE = (Type.ANY, Type.ANY)

ARITHMETIC: dict[str, Function] = {
    "int": Function(_ANYTHING, to_int),
    "float64": Function(_ANYTHING, to_float),
    "add": Function(_ANYTHING, _add, variadic=True),
    "sub": Function((Type.ANY, Type.ANY), _subtract),
    "mul": Function(_ONE_AND_MORE, _multiply, variadic=True),
    "div": Function((Type.ANY, Type.ANY), _divide),
    "mod": Function((Type.ANY, Type.ANY), _modulo),
    "addf": Function(_ANYTHING, lambda *values: _sum(0, *values), variadic=True),
    "subf": Function(_ONE_AND_MORE, _folded(_EXACT.subtract), variadic=True),
    "mulf": Function(_ONE_AND_MORE, _folded(_EXACT.multiply), variadic=True),
    "divf": Function(_ONE_AND_MORE, _folded(_decimal_quotient), variadic=True),
    "max": Function(_ONE_AND_MORE, lambda *values: Int64(max(map(to_int, values))), variadic=True),
    "min": Function(_ONE_AND_MORE, lambda *values: Int64(min(map(to_int, values))), variadic=True),
    "maxf": Function(_ONE_AND_MORE, _extreme(_maximum), variadic=True),
    "minf": Function(_ONE_AND_MORE, _extreme(_minimum), variadic=True),
    "ceil": Function(_ANYTHING, lambda value: _ceil(to_float(value))),
    "floor": Function(_ANYTHING, lambda value: _floor(to_float(value))),
    "round": Function((Type.ANY, Type.INT, Type.FLOAT), _round, variadic=True),
}
