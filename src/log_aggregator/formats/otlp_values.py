"""OpenTelemetry's values as text, in the words of its collector."""

import base64
import math
from decimal import Decimal
from typing import Final

import msgspec

from log_aggregator.formats import otlp_pb2
from log_aggregator.formats.parts import Parts
from log_aggregator.model.labels import clean_name

_LEAST_PLAIN: Final = 1e-6
_LEAST_HUGE: Final = 1e21
"""Between these a number is written without an exponent."""

_encoder = msgspec.json.Encoder(order="sorted")


def text_of_bytes(data: bytes) -> str:
    """With U+FFFD for what is not UTF-8."""
    return data.decode("utf-8", "replace")


def value_text(value: otlp_pb2.AnyValue, parts: Parts) -> str:
    """Strings as they are, bytes as base64, arrays and maps as JSON with sorted keys, no value as "".

    Raises PushTooLarge where there are more values in it than `parts` takes.
    """
    # Nearly all values are strings, and asking for one is cheaper than asking for the kind.
    if text := value.string_value:
        return text_of_bytes(text)
    match value.WhichOneof("value"):
        case "int_value":
            return str(value.int_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "double_value":
            return _number_text(value.double_value)
        case "bytes_value":
            return _base64(value.bytes_value)
        case "array_value" | "kvlist_value":
            return _encoder.encode(_json_value(value, parts)).decode()
        case _:
            return ""


def add_attribute(pairs: dict[str, str], name: str, value: otlp_pb2.AnyValue, parts: Parts) -> None:
    """Puts an attribute under a name that is a label name, or "" where it cannot be one.

    A map becomes a pair for each of its leaves, whose names are joined with underscores. Raises PushTooLarge where it
    has more than `parts` takes.
    """
    if value.HasField("kvlist_value"):
        leaves = value.kvlist_value.values
        parts.add(len(leaves))
        parts.add_names((name,), len(leaves))
        for pair in leaves:
            add_attribute(pairs, clean_name(f"{name}_{text_of_bytes(pair.key)}"), pair.value, parts)
    else:
        pairs[name] = value_text(value, parts)


def _json_value(value: otlp_pb2.AnyValue, parts: Parts) -> object:
    match value.WhichOneof("value"):
        case "array_value":
            parts.add(len(value.array_value.values))
            return [_json_value(element, parts) for element in value.array_value.values]
        case "kvlist_value":
            pairs = value.kvlist_value.values
            parts.add(len(pairs))
            return {text_of_bytes(pair.key): _json_value(pair.value, parts) for pair in pairs}
        case "string_value":
            return text_of_bytes(value.string_value)
        case "int_value":
            return value.int_value
        case "bool_value":
            return value.bool_value
        case "double_value":
            text = _number_text(value.double_value)
            # JSON has no words for these, and the rest of the value shall not be lost with them.
            return msgspec.Raw(text.encode()) if math.isfinite(value.double_value) else text
        case "bytes_value":
            return _base64(value.bytes_value)
        case _:
            return None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _number_text(number: float) -> str:
    """The fewest digits that give the number back, as ECMAScript writes them but for `-0`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    shortest = repr(number)
    if "e" not in shortest:
        return shortest.removesuffix(".0")
    if _LEAST_PLAIN <= abs(number) < _LEAST_HUGE:
        return f"{Decimal(shortest):f}"
    return shortest.replace("e-0", "e-")
