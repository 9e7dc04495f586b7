"""Go's text forms of numbers and quoted strings. Go strings are `bytes` here."""

import math
import re
from decimal import Decimal

MIN_INT64 = -(1 << 63)
MAX_INT64 = (1 << 63) - 1

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Go takes for white space; Python's `str.strip` removes more."""

_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_QUOTE_ESCAPES = {chr(code): "\\" + letter for letter, code in _SIMPLE_ESCAPES.items()}
_ESCAPE = re.compile(r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)

_INTEGER = re.compile(
    r"([+-]?)(?:0[xX](?P<x>[0-9a-fA-F_]+)|0[bB](?P<b>[01_]+)|0[oO]?(?P<o>[0-7_]+)|(?P<d>0|[1-9][0-9_]*))"
)
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
_DECIMAL_FLOAT = re.compile(r"[+-]?(?=[0-9_]*\.?[0-9_]*[0-9])[0-9_]*\.?[0-9_]*(?:[eE][+-]?[0-9][0-9_]*)?")
_HEX_FLOAT = re.compile(
    r"[+-]?0[xX](?=[0-9a-fA-F_]*\.?_*[0-9a-fA-F])[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9][0-9_]*"
)
_SPECIAL_FLOAT = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_BAD_UNDERSCORE = re.compile(r"__|_\Z|(?<![0-9a-fA-FxXoO])_|_(?![0-9a-fA-F])")


def wrap_int64(value: int) -> int:
    """Wrap around as 64-bit arithmetic does."""
    return (value - MIN_INT64) % (1 << 64) + MIN_INT64


def decode_utf8(text: bytes) -> str:
    """Decode, keeping each byte that is not UTF-8 as a lone surrogate."""
    return text.decode("utf-8", "surrogateescape")


def encode_utf8(text: str) -> bytes:
    """The inverse of `decode_utf8`."""
    return text.encode("utf-8", "surrogateescape")


def decode_runes(text: bytes) -> str:
    """Decode as Go's range loop does: each byte that is not UTF-8 becomes U+FFFD."""
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", decode_utf8(text))


_LONE = re.compile("[\ud800-\udfff]")


def quote_text(text: str) -> str:
    """Quote a text as Go does for %q."""
    return decode_utf8(quote(encode_utf8(text)))


def quote(text: bytes, *, ascii_only: bool = False) -> bytes:
    """Return a Go string literal in double quotes, escaping what cannot be printed."""
    return encode_utf8('"' + "".join(_quoted_rune(char, '"', ascii_only) for char in decode_utf8(text)) + '"')


def quote_rune(code: int, *, ascii_only: bool = False) -> bytes:
    """Return a Go character literal; what is no code point becomes U+FFFD."""
    return encode_utf8("'" + _quoted_rune(rune(code), "'", ascii_only) + "'")


def rune(code: int) -> str:
    """The character of a code point, or U+FFFD where there is none."""
    return chr(code) if 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\N{REPLACEMENT CHARACTER}"


def _quoted_rune(char: str, mark: str, ascii_only: bool) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if char == mark:
        return "\\" + char
    if char in _QUOTE_ESCAPES:
        return _QUOTE_ESCAPES[char]
    if char.isprintable() and (code < 0x80 or not ascii_only):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(source: str) -> bytes | None:
    """Evaluate a Go string literal, with its quotes or backquotes; None if it is not one."""
    if source.startswith("`"):
        return encode_utf8(source[1:-1].replace("\r", ""))
    pieces: list[bytes] = []
    at, end = 1, len(source) - 1
    while at < end:
        escape = source.find("\\", at, end)
        if escape < 0:
            escape = end
        pieces.append(encode_utf8(source[at:escape]))
        if escape == end:
            break
        unescaped = _unescape(source, escape, '"')
        if unescaped is None:
            return None
        pieces.append(unescaped[0])
        at = unescaped[1]
    return b"".join(pieces)


def unquote_rune(source: str) -> tuple[int, int] | None:
    """The code point of the first character of a Go character literal, and the offset after it; None if bad.

    The literal is well-formed if the closing quote is at that offset.
    """
    if source[1] != "\\":
        return (ord(source[1]), 2) if source[1] != "'" else None
    found = _unescape(source, 1, "'")
    if found is None:
        return None
    is_byte = source[2] in "x01234567"
    return (found[0][0] if is_byte else ord(found[0].decode())), found[1]


def _unescape(source: str, at: int, mark: str) -> tuple[bytes, int] | None:
    found = _ESCAPE.match(source, at)
    if found is None:
        return None
    octal, byte, short, long, simple = found.groups()
    if octal is not None or byte is not None:
        code = int(octal, 8) if octal is not None else int(byte, 16)
        return (bytes((code,)), found.end()) if code < 256 else None
    if simple is None:
        code = int(short or long, 16)
        char = rune(code)
        return (char.encode(), found.end()) if ord(char) == code else None
    if simple == mark:
        return mark.encode(), found.end()
    if simple in _SIMPLE_ESCAPES:
        return bytes((_SIMPLE_ESCAPES[simple],)), found.end()
    return None


def parse_int(text: str) -> int | None:
    """Parse as Go's ParseInt with base 0: `0x1F`, `010` and `1_000` are numbers.

    The result may need more than 64 bits; None if it is no number, or one of more than 64 digits.
    """
    found = _INTEGER.fullmatch(text)
    if found is None or _BAD_UNDERSCORE.search(text):
        return None
    base = found.lastgroup
    assert base is not None
    digits = found[base].replace("_", "").lstrip("0") or "0"
    if len(digits) > 64:
        return None
    value = int(digits, _BASES[base])
    return -value if found[1] == "-" else value


def parse_float(text: str) -> float | None:
    """Parse as Go's ParseFloat; None if it is no number. A number too large becomes an infinity.

    Only the texts inf, infinity and nan stand for themselves: see `names_infinity`.
    """
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text)
    if "_" in text and _BAD_UNDERSCORE.search(text):
        return None
    if _DECIMAL_FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if not _HEX_FLOAT.fullmatch(text):
        return None
    try:
        return float.fromhex(text.replace("_", ""))
    except OverflowError:
        return -math.inf if text.startswith("-") else math.inf


def names_infinity(text: str) -> bool:
    """Whether an infinity parsed from this text was written as such, and is not the overflow of a number."""
    return _SPECIAL_FLOAT.fullmatch(text) is not None


def format_float(value: float, verb: str, precision: int) -> str:
    """Format as Go's FormatFloat: verb is one of `eEfgGbxX`; precision -1 means as many digits as needed."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "-Inf" if value < 0 else "+Inf"
    if verb == "b":
        return _binary_exponent(value)
    if verb in "xX":
        formatted = _hexadecimal(value, precision)
        return formatted.upper() if verb == "X" else formatted
    if verb in "gG":
        formatted = _general(value, precision)
        return formatted.upper() if verb == "G" else formatted
    if precision >= 0:
        return f"{value:.{precision}{verb}}"
    if verb in "fF":
        return _shortest_fixed(value)
    formatted = _shortest_exponential(value)
    return formatted.upper() if verb == "E" else formatted


def _shortest_fixed(value: float) -> str:
    """Without exponent; zeros stand for the digits that are not needed, before the point too."""
    digits, point = _shortest_digits(abs(value))
    sign = "-" if math.copysign(1, value) < 0 else ""
    whole = digits[: max(point, 0)].ljust(point, "0") or "0"
    fraction = digits[max(point, 0) :].rjust(len(digits) - point, "0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _shortest_exponential(value: float) -> str:
    digits, point = _shortest_digits(abs(value))
    sign = "-" if math.copysign(1, value) < 0 else ""
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[:1] or '0'}{fraction}e{point - 1 if digits else 0:+03d}"


def _general(value: float, precision: int) -> str:
    magnitude = abs(value)
    if precision < 0:
        _, point = _shortest_digits(magnitude)
        return _shortest_fixed(value) if -4 <= point - 1 < 6 or not magnitude else _shortest_exponential(value)
    precision = max(precision, 1)
    digits, point = _rounded_digits(magnitude, precision)
    threshold = len(digits) if precision > len(digits) >= point else precision
    if not -4 <= point - 1 < max(threshold, 1) and magnitude:
        return f"{value:.{max(min(precision, len(digits)) - 1, 0)}e}"
    return f"{value:.{max(len(digits) - point, 0)}f}"


def _shortest_digits(magnitude: float) -> tuple[str, int]:
    """The fewest digits that give the number back, and where its point is: 12.5 gives ("125", 2)."""
    return _digits(Decimal(repr(magnitude)))


def _rounded_digits(magnitude: float, count: int) -> tuple[str, int]:
    return _digits(Decimal(f"{magnitude:.{count - 1}e}"))


def _digits(number: Decimal) -> tuple[str, int]:
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # finite
    text = "".join(map(str, digits))
    point = len(text) + exponent
    text = text.rstrip("0")
    return (text, point) if text else ("", 0)


def _binary_exponent(value: float) -> str:
    mantissa, exponent = math.frexp(abs(value))
    exponent = max(exponent - 53, -1074)
    sign = "-" if math.copysign(1, value) < 0 else ""
    return f"{sign}{int(math.ldexp(abs(value), -exponent)) if mantissa else 0}p{exponent:+d}"


def _hexadecimal(value: float, precision: int) -> str:
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not value:
        return f"{sign}0x0{'.' + '0' * precision if precision > 0 else ''}p+00"
    mantissa, exponent = math.frexp(abs(value))
    exponent -= 1
    bits = int(math.ldexp(mantissa, 53))  # 1 followed by 52 bits
    if 0 <= precision < 13:
        bits = _round_half_even(bits, 52 - 4 * precision)
        if bits >> (4 * precision) > 1:
            bits >>= 1
            exponent += 1
        fraction = f"{bits & ((1 << 4 * precision) - 1):0{precision}x}" if precision else ""
    else:
        fraction = f"{bits & ((1 << 52) - 1):013x}"
        fraction = fraction.rstrip("0") if precision < 0 else fraction.ljust(precision, "0")
    return f"{sign}0x1{'.' + fraction if fraction else ''}p{exponent:+03d}"


def _round_half_even(value: int, drop_bits: int) -> int:
    quotient, rest = divmod(value, 1 << drop_bits)
    half = 1 << (drop_bits - 1)
    return quotient + (rest > half or (rest == half and quotient & 1 == 1))
