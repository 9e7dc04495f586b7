"""The functions that Loki adds to templates: its own, and those it takes over from Sprig."""

import base64
import json
import math
import re
from collections.abc import Callable

from log_aggregator.logql.template.arithmetic import ARITHMETIC
from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.escapes import (
    decode_base64,
    escape_query,
    title,
    to_lower,
    to_upper,
    unescape_query,
)
from log_aggregator.logql.template.gotime import UTC, ZERO_TIME, Time, load_location, parse_duration
from log_aggregator.logql.template.layout import parse_time
from log_aggregator.logql.template.limits import JSON_WORK_FACTOR, MAX_NESTING, REGEX_WORK_FACTOR, check_size
from log_aggregator.logql.template.methods import format_bounded
from log_aggregator.logql.template.signatures import Context, Function, Type
from log_aggregator.logql.template.sizes import parse_size
from log_aggregator.logql.template.strconv import (
    MAX_INT64,
    MIN_INT64,
    SPACE,
    decode_runes,
    decode_utf8,
    encode_utf8,
    quote_text,
)
from log_aggregator.logql.template.values import Boxed, Int64, Value, is_true

# Text.


def _replace(text: bytes, old: bytes, new: bytes, count: int) -> bytes:
    """Replace the first so many occurrences, all if negative; an empty text is found around every character."""
    if not old:
        return _interleave(text, new, count)
    found = text.count(old) if count < 0 else min(count, len(text))
    check_size(len(text) + found * max(len(new) - len(old), 0))
    return text.replace(old, new, count)


def _interleave(text: bytes, new: bytes, count: int) -> bytes:
    runes = decode_utf8(text)
    places = len(runes) + 1 if count < 0 else min(count, len(runes) + 1)
    check_size(len(text) + places * len(new))
    if not places:
        return text
    head = b"".join(new + encode_utf8(char) for char in runes[:places])
    return head + (new if places > len(runes) else encode_utf8(runes[places:]))


def _trimmed(trim: Callable[[str, str], str]) -> Callable[[bytes, bytes], bytes]:
    def trimmed(text: bytes, characters: bytes) -> bytes:
        return encode_utf8(trim(decode_utf8(text), decode_utf8(characters)))

    return trimmed


_trim = _trimmed(str.strip)


def _trim_space(text: bytes) -> bytes:
    return _trim(text, SPACE.encode())


def _truncate(count: int, text: bytes) -> bytes:
    """The first so many bytes, or if negative the last."""
    if count >= 0:
        return text[:count]
    return text[count:]


def _substring(start: int, end: int, text: bytes) -> bytes:
    """Bytes from start to end; a negative start or end stands for that of the text."""
    if start < 0:
        if end < 0:
            raise CallError(f"runtime error: slice bounds out of range [:{end}]")
        if end > len(text):
            raise CallError(f"runtime error: slice bounds out of range [:{end}] with length {len(text)}")
        return text[:end]
    if end < 0 or end > len(text):
        end = len(text)
    if start > end:
        raise CallError(f"runtime error: slice bounds out of range [{start}:{end}]")
    return text[start:end]


def _repeat(count: int, text: bytes) -> bytes:
    if count < 0:
        raise CallError("strings: negative Repeat count")
    check_size(count * len(text))
    return text * count


def _indent(spaces: int, text: bytes) -> bytes:
    """Put spaces before every line, also an empty one."""
    pad = _repeat(spaces, b" ")
    check_size(len(text) + (1 + text.count(b"\n")) * len(pad))
    return pad + text.replace(b"\n", b"\n" + pad)


def _align_left(count: int, text: bytes) -> bytes:
    """Cut or fill up to so many characters; a negative count changes nothing."""
    missing = _missing(count, text)
    return decode_runes(text)[:count].encode() if missing < 0 else text + b" " * missing


def _align_right(count: int, text: bytes) -> bytes:
    """The same, keeping the end."""
    missing = _missing(count, text)
    return decode_runes(text)[-missing:].encode() if missing < 0 else b" " * missing + text


def _missing(count: int, text: bytes) -> int:
    """Characters to add, or if negative to cut off."""
    if count < 0:
        return 0
    missing = count - len(decode_utf8(text))
    check_size(len(text) + missing)
    return missing


def _default(fallback: Value, *given: Value) -> Boxed:
    return Boxed(given[0] if given and is_true(given[0]) else fallback)


# Regular expressions.


def _regex_replace(context: Context, pattern: bytes, text: bytes, replacement: bytes) -> bytes:
    return context.regex(pattern).replace(text, replacement)


def _regex_replace_literal(context: Context, pattern: bytes, text: bytes, replacement: bytes) -> bytes:
    return context.regex(pattern).replace_literal(text, replacement)


def _count(context: Context, pattern: bytes, text: bytes) -> int:
    return len(context.regex(pattern).spans(text))


# Numbers with units.


def _bytes(text: bytes) -> float:
    return parse_size(decode_utf8(text))


def _duration(text: bytes) -> float:
    """The seconds in `1h30m`."""
    return parse_duration(decode_utf8(text)).in_units(1_000_000_000)


# Times.


def _date(context: Context, layout: bytes, date: Value) -> bytes:
    """Format a time, or seconds since 1970; anything else stands for now."""
    if isinstance(date, Time):
        time = date
    elif type(date) in (int, Int64):
        time = Time(date * 1_000_000_000)
    else:
        time = Time(context.now_ns())
    return format_bounded(time.seen_from(UTC), layout)


def _to_date(layout: bytes, text: bytes) -> Time:
    return parse_time(layout, text, UTC) or ZERO_TIME


def _to_date_in_zone(layout: bytes, zone: bytes, text: bytes) -> Time:
    return parse_time(layout, text, load_location(decode_utf8(zone)) or UTC) or ZERO_TIME


# Nanoseconds in the units of a Unix time, by its number of characters: days, s, ms, us, ns.
_UNIX_UNITS_NS = {5: 86_400_000_000_000, 10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}
_DECIMAL = re.compile(rb"[+-]?[0-9]+")


def _unix_to_time(text: bytes) -> Time:
    shown = decode_utf8(text)
    number = int(text) if _DECIMAL.fullmatch(text) and len(text) < 4000 else None
    if number is None:
        raise CallError(
            f"unable to parse time '{shown}': strconv.ParseInt: parsing {quote_text(shown)}: invalid syntax"
        )
    if not MIN_INT64 <= number <= MAX_INT64:
        raise CallError(
            f"unable to parse time '{shown}': strconv.ParseInt: parsing {quote_text(shown)}: value out of range"
        )
    if len(text) not in _UNIX_UNITS_NS:
        raise CallError(f"unable to parse time '{shown}': %!w(<nil>)")
    return Time(number * _UNIX_UNITS_NS[len(text)])


# JSON.


def _json_number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _refuse_constant(text: str) -> None:
    raise ValueError(text)


_JSON = json.JSONDecoder(parse_float=_json_number, parse_int=_json_number, parse_constant=_refuse_constant)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _from_json(text: bytes) -> Boxed:
    """Decode JSON; what is none becomes nil. All numbers are floats."""
    try:
        return Boxed(_go_value(_JSON.decode(decode_utf8(text)), MAX_NESTING))
    except ValueError:
        return Boxed(None)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> CallError:
    return CallError(f"JSON nested deeper than {MAX_NESTING} levels")


def _go_value(value: Value, levels: int) -> Value:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value).encode()
    if not isinstance(value, list | dict):
        return value
    if not levels:
        raise _too_deep()
    if isinstance(value, list):
        return [_go_value(item, levels - 1) for item in value]
    return {_go_value(key, levels): _go_value(item, levels - 1) for key, item in value.items()}


_S = Type.STRING
_REGEX = REGEX_WORK_FACTOR

FUNCTIONS: dict[str, Function] = {
    **ARITHMETIC,
    "__line__": Function((), lambda context: context.line, needs_context=True),
    "__timestamp__": Function((), lambda context: Time(context.timestamp_ns), needs_context=True),
    "now": Function((), lambda context: Time(context.now_ns()), needs_context=True),
    "ToLower": Function((_S,), to_lower),
    "ToUpper": Function((_S,), to_upper),
    "lower": Function((_S,), to_lower),
    "upper": Function((_S,), to_upper),
    "title": Function((_S,), title),
    "Replace": Function((_S, _S, _S, Type.INT), _replace),
    "replace": Function((_S, _S, _S), lambda old, new, text: _replace(text, old, new, -1)),
    "Trim": Function((_S, _S), _trim),
    "TrimLeft": Function((_S, _S), _trimmed(str.lstrip)),
    "TrimRight": Function((_S, _S), _trimmed(str.rstrip)),
    "TrimPrefix": Function((_S, _S), bytes.removeprefix),
    "TrimSuffix": Function((_S, _S), bytes.removesuffix),
    "TrimSpace": Function((_S,), _trim_space),
    "trim": Function((_S,), _trim_space),
    "trimAll": Function((_S, _S), lambda characters, text: _trim(text, characters)),
    "trimPrefix": Function((_S, _S), lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": Function((_S, _S), lambda suffix, text: text.removesuffix(suffix)),
    "trunc": Function((Type.INT, _S), _truncate),
    "substr": Function((Type.INT, Type.INT, _S), _substring),
    "contains": Function((_S, _S), lambda part, text: part in text),
    "hasPrefix": Function((_S, _S), lambda prefix, text: text.startswith(prefix)),
    "hasSuffix": Function((_S, _S), lambda suffix, text: text.endswith(suffix)),
    "indent": Function((Type.INT, _S), _indent),
    "nindent": Function((Type.INT, _S), lambda spaces, text: b"\n" + _indent(spaces, text)),
    "repeat": Function((Type.INT, _S), _repeat),
    "alignLeft": Function((Type.INT, _S), _align_left),
    "alignRight": Function((Type.INT, _S), _align_right),
    "default": Function((Type.ANY, Type.ANY), _default, variadic=True),
    "regexReplaceAll": Function((_S, _S, _S), _regex_replace, needs_context=True, weight=_REGEX),
    "regexReplaceAllLiteral": Function((_S, _S, _S), _regex_replace_literal, needs_context=True, weight=_REGEX),
    "count": Function((_S, _S), _count, needs_context=True, weight=_REGEX),
    "urlencode": Function((_S,), escape_query),
    "urldecode": Function((_S,), unescape_query),
    "b64enc": Function((_S,), base64.b64encode),
    "b64dec": Function((_S,), decode_base64),
    "bytes": Function((_S,), _bytes),
    "duration": Function((_S,), _duration),
    "duration_seconds": Function((_S,), _duration),
    "date": Function((_S, Type.ANY), _date, needs_context=True),
    "toDate": Function((_S, _S), _to_date),
    "toDateInZone": Function((_S, _S, _S), _to_date_in_zone),
    "unixToTime": Function((_S,), _unix_to_time),
    "unixEpoch": Function((Type.TIME,), lambda time: str(time.unix).encode()),
    "unixEpochMillis": Function((Type.TIME,), lambda time: str(time.wrapped_unix(1_000_000)).encode()),
    "unixEpochNanos": Function((Type.TIME,), lambda time: str(time.wrapped_unix(1)).encode()),
    "fromJson": Function((_S,), _from_json, weight=JSON_WORK_FACTOR),
}
