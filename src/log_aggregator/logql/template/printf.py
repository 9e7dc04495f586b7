"""Go's fmt: Sprint, Sprintln and Sprintf for the values of templates."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.gotime import Duration, Location, Month, Time, Weekday
from log_aggregator.logql.template.layout import describe_time
from log_aggregator.logql.template.limits import MAX_STRING_BYTES, check_size
from log_aggregator.logql.template.strconv import decode_utf8, encode_utf8, format_float, quote, quote_rune, rune
from log_aggregator.logql.template.values import Boxed, Int64, Labels, Uint8, Value, items_of, type_name

# Go refuses larger widths and precisions itself.
_MAX_WIDTH = 1_000_000

_STRINGABLE = frozenset("vsxXq")
_INTEGER_BASES = {"v": 10, "d": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_FLOAT_DEFAULTS = {"v": -1, "b": -1, "g": -1, "G": -1, "x": -1, "X": -1, "f": 6, "F": 6, "e": 6, "E": 6}
# Layouts are remembered, and may be labels.
_LONGEST_REMEMBERED = 1024
_PLAIN_VERB = re.compile(rb"%[sv]")
_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}
_CAN_BACKQUOTE = re.compile("[^\x00-\x08\x0a-\x1f`\x7f\ufeff\ud800-\udfff]*")


@dataclass(slots=True)
class _Flags:
    sharp: bool = False
    zero: bool = False
    plus: bool = False
    minus: bool = False
    space: bool = False
    sharp_v: bool = False  # %#v
    width: int | None = None
    precision: int | None = None


def sprint(values: Sequence[Value]) -> bytes:
    """Print values, with a space between two where neither is a string."""
    if len(values) == 1 and (text := _shown(values[0])) is not None:
        return text
    printer = _Printer()
    after_string = True
    for value in values:
        is_string = type(value) is bytes
        if not is_string and not after_string:
            printer.write(b" ")
        printer.print_value(value, "v")
        after_string = is_string
    return printer.text()


def sprintln(values: Sequence[Value]) -> bytes:
    """Print values with spaces between them and a newline after them."""
    printer = _Printer()
    for index, value in enumerate(values):
        if index:
            printer.write(b" ")
        printer.print_value(value, "v")
    printer.write(b"\n")
    return printer.text()


def sprintf(layout: bytes, values: Sequence[Value]) -> bytes:
    """Format values; what does not fit is reported in the text itself, as in `%!d(string=x)`."""
    texts = _plain_layout(layout) if len(layout) <= _LONGEST_REMEMBERED else None
    if texts is not None and len(texts) == len(values) + 1 and all(type(value) is bytes for value in values):
        return _joined(texts, values)
    return _Format(decode_utf8(layout), values).text()


def _shown(value: Value) -> bytes | None:
    """A value by itself, if it is of a kind that is soon shown."""
    if isinstance(value, bytes):
        return value
    kind = type(value)
    if kind is int or kind is Int64:
        return b"%d" % value
    if kind is float and 1e-4 <= abs(value) < 1e6:  # where neither Go nor Python needs an exponent
        return repr(value).removesuffix(".0").encode()
    return None


@lru_cache(maxsize=256)
def _plain_layout(layout: bytes) -> Sequence[bytes] | None:
    """The texts around `%s` and `%v`, if it has no other verbs."""
    texts = _PLAIN_VERB.split(layout)
    return None if any(b"%" in text for text in texts) else texts


def _joined(texts: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    pieces = [piece for pair in zip(texts, values, strict=False) for piece in pair]
    text = b"".join([*pieces, texts[-1]])
    check_size(len(text))
    return text


class _Printer:
    """Collects output and knows the flags of the verb at hand."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._erroring = False
        self.flags = _Flags()

    def text(self) -> bytes:
        return b"".join(self._pieces)

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_STRING_BYTES:
            raise CallError(f"string exceeds {MAX_STRING_BYTES} bytes")
        self._pieces.append(piece)

    def _pad(self, piece: bytes, *, zeros: bool = False) -> None:
        missing = (self.flags.width or 0) - len(decode_utf8(piece)) if self.flags.width else 0
        if missing <= 0:
            self.write(piece)
        elif self.flags.minus:
            self.write(piece + b" " * missing)
        else:
            self.write((b"0" if zeros else b" ") * missing + piece)

    def print_value(self, value: Value, verb: str) -> None:
        """Print an argument after a verb."""
        if value is None:
            if verb in "Tv":
                self._pad(b"<nil>", zeros=self.flags.zero)
            else:
                self.bad_verb(value, verb)
        elif verb == "T":
            self._string(type_name(value).encode(), "s")
        elif verb in "pw":
            self.bad_verb(value, verb)
        else:
            self._print(value, verb)

    def _print(self, value: Value, verb: str) -> None:
        if isinstance(value, Time | Duration | Month | Weekday | Location) and self._print_described(value, verb):
            return
        match value:
            case bytes():
                self._string_or_bad(value, verb)
            case bool():
                self._bool(value, verb)
            case int():
                self._integer(value, verb)
            case float():
                self._float(value, verb)
            case Boxed():
                self._boxed(value.value, verb)
            case list():
                self._list(value, verb)
            case dict() | Labels():
                self._map(value, verb)
            case _:
                self.bad_verb(value, verb)

    def _print_described(self, value: Value, verb: str) -> bool:
        if self._erroring or verb not in _STRINGABLE or (self.flags.sharp_v and isinstance(value, int)):
            return False
        self._string(describe_time(value) if isinstance(value, Time) else str(value).encode(), verb)
        return True

    def bad_verb(self, value: Value, verb: str) -> None:
        self._erroring = True
        self.write(encode_utf8(f"%!{verb}("))
        if value is None:
            self.write(b"<nil>")
        else:
            self.write(f"{type_name(value)}=".encode())
            if isinstance(value, Time | Location):
                self.write(describe_time(value) if isinstance(value, Time) else str(value).encode())
            else:
                self._print(value, "v")
        self.write(b")")
        self._erroring = False

    # Kinds of values.

    def _bool(self, value: bool, verb: str) -> None:
        if verb not in "tv":
            self.bad_verb(value, verb)
            return
        self._pad(b"true" if value else b"false", zeros=self.flags.zero)

    def _string_or_bad(self, value: bytes, verb: str) -> None:
        if verb in _STRINGABLE:
            self._string(value, verb)
        else:
            self.bad_verb(value, verb)

    def _string(self, value: bytes, verb: str) -> None:
        flags = self.flags
        if verb in "xX":
            self._hexadecimal(value, verb)
            return
        if flags.precision is not None:
            value = encode_utf8(decode_utf8(value)[: flags.precision])
        if verb == "q" or (verb == "v" and flags.sharp_v):
            if flags.sharp and _CAN_BACKQUOTE.fullmatch(decode_utf8(value)):
                value = b"`" + value + b"`"
            else:
                value = quote(value, ascii_only=flags.plus)
        self._pad(value, zeros=flags.zero and not flags.minus)

    def _hexadecimal(self, value: bytes, verb: str) -> None:
        flags = self.flags
        value = value[: flags.precision] if flags.precision is not None else value
        prefix = "0x" if flags.sharp and value else ""
        text = value.hex()
        if flags.space:
            text = f" {prefix}".join(text[at : at + 2] for at in range(0, len(text), 2))
        text = prefix + text
        self._pad((text.upper() if verb == "X" else text).encode(), zeros=flags.zero and not flags.minus)

    def _integer(self, value: int, verb: str) -> None:
        number = int(value)
        if verb in _INTEGER_BASES:
            self._digits(number, verb, is_unsigned=isinstance(value, Uint8))
        elif verb == "c":
            self._pad(rune(number).encode(), zeros=self.flags.zero and not self.flags.minus)
        elif verb == "q":
            self._pad(quote_rune(number, ascii_only=self.flags.plus), zeros=self.flags.zero and not self.flags.minus)
        elif verb == "U":
            self._unicode(number % (1 << 64))
        else:
            self.bad_verb(value, verb)

    def _unicode(self, code: int) -> None:
        text = f"U+{code:0{max(self.flags.precision or 0, 4)}X}"
        if self.flags.sharp and code <= 0x10FFFF and chr(code).isprintable():
            text += f" '{chr(code)}'"
        self._pad(encode_utf8(text))

    def _digits(self, number: int, verb: str, *, is_unsigned: bool) -> None:
        flags = self.flags
        base = _INTEGER_BASES[verb]
        sharp = flags.sharp
        if verb == "v" and flags.sharp_v and is_unsigned:
            base, sharp = 16, True
        sign = "-" if number < 0 else "+" if flags.plus else " " if flags.space else ""
        width = 0
        if flags.precision is not None:
            width = flags.precision
            if width == 0 and number == 0:
                self._pad(b"")
                return
        elif flags.zero and not flags.minus and flags.width is not None:
            width = flags.width - len(sign)
        digits = format(abs(number), {10: "d", 2: "b", 8: "o", 16: "X" if verb == "X" else "x"}[base]).zfill(width)
        if sharp and base in (2, 16):
            digits = f"0{'b' if base == 2 else 'X' if verb == 'X' else 'x'}{digits}"
        elif sharp and base == 8 and not digits.startswith("0"):
            digits = "0" + digits
        if verb == "O":
            digits = "0o" + digits
        self._pad((sign + digits).encode())

    def _float(self, value: float, verb: str) -> None:
        if verb not in _FLOAT_DEFAULTS:
            self.bad_verb(value, verb)
            return
        flags = self.flags
        precision = _FLOAT_DEFAULTS[verb] if flags.precision is None else flags.precision
        go_verb = {"v": "g", "F": "f"}.get(verb, verb)
        text = format_float(value, go_verb, precision)
        sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
        if sign == "+" and flags.space and not flags.plus:
            sign = " "
        if digits[0] in "IN":
            shows_sign = digits[0] == "I" or flags.space or flags.plus
            self._pad((sign + digits if shows_sign else digits).encode())
            return
        if flags.sharp and verb != "b":
            digits = _keep_point(digits, go_verb, precision)
        if not flags.plus and sign == "+":
            self._pad(digits.encode(), zeros=flags.zero and not flags.minus)
        elif flags.zero and not flags.minus and flags.width is not None:
            self.write((sign + digits.zfill(flags.width - 1)).encode())
        else:
            self._pad((sign + digits).encode())

    def _boxed(self, value: Value, verb: str) -> None:
        if value is not None:
            self._print(value, verb)
        else:
            self.write(b"interface {}(nil)" if self.flags.sharp_v else b"<nil>")

    def _list(self, values: list[Value], verb: str) -> None:
        self.write(b"[]interface {}{" if self.flags.sharp_v else b"[")
        for index, value in enumerate(values):
            if index:
                self.write(b", " if self.flags.sharp_v else b" ")
            self._boxed(value, verb)
        self.write(b"}" if self.flags.sharp_v else b"]")

    def _map(self, value: dict[bytes, Value] | Labels, verb: str) -> None:
        self.write(f"{type_name(value)}{{".encode() if self.flags.sharp_v else b"map[")
        for index, (key, item) in enumerate(items_of(value)):
            if index:
                self.write(b", " if self.flags.sharp_v else b" ")
            self._print(key, verb)
            self.write(b":")
            self._print(item, verb)
        self.write(b"}" if self.flags.sharp_v else b"]")


def _keep_point(digits: str, verb: str, precision: int) -> str:
    """The `#` flag: a decimal point always, and for %g the trailing zeros of the precision."""
    wanted = 0
    if verb in "gGx":
        wanted = 6 if precision < 0 else precision
    mark = "p" if verb in "xX" else "e"
    at = digits.lower().find(mark)
    mantissa, tail = (digits[:at], digits[at:]) if at >= 0 else (digits, "")
    significant = mantissa.lstrip("0.") if mantissa.strip("0.") else ""
    wanted -= sum(char != "." for char in significant)
    if "." not in mantissa:
        wanted -= mantissa == "0"
        mantissa += "."
    return mantissa + "0" * max(wanted, 0) + tail


class _Format(_Printer):
    """One run over a format string."""

    def __init__(self, layout: str, values: Sequence[Value]) -> None:
        super().__init__()
        self._layout = layout
        self._values = values
        self._at = 0
        self._argument = 0
        self._reordered = False
        self._good_index = True
        self._after_index = False
        self._run()

    def _run(self) -> None:
        layout = self._layout
        while self._at < len(layout):
            percent = layout.find("%", self._at)
            end = len(layout) if percent < 0 else percent
            self.write(encode_utf8(layout[self._at : end]))
            self._at = end + 1
            if percent >= 0 and not self._verb():
                break
        if not self._reordered and self._argument < len(self._values):
            self._extra()

    def _peek(self) -> str:
        return self._layout[self._at : self._at + 1]

    def _verb(self) -> bool:
        """Print what one verb asks for; False if the format ends within it."""
        self.flags = _Flags()
        self._good_index, self._after_index = True, False
        while (flag := self._peek()) in _FLAGS and flag:
            setattr(self.flags, _FLAGS[flag], True)
            self._at += 1
        self._index()
        self._width()
        self._precision()
        if not self._after_index:
            self._index()
        verb = self._peek()
        if not verb:
            self.write(b"%!(NOVERB)")
            return False
        self._at += 1
        self._print_verb(verb)
        return True

    def _print_verb(self, verb: str) -> None:
        shown = encode_utf8(verb)
        if verb == "%":
            self.write(b"%")
        elif not self._good_index:
            self.write(b"%!" + shown + b"(BADINDEX)")
        elif self._argument >= len(self._values):
            self.write(b"%!" + shown + b"(MISSING)")
        else:
            if verb in "vw":
                self.flags.sharp_v, self.flags.sharp = self.flags.sharp, False
                self.flags.plus = False  # which Go keeps for structs, of which there are none
            self.print_value(self._values[self._argument], verb)
            self._argument += 1

    def _index(self) -> None:
        """Read an explicit argument index such as `[2]`."""
        if self._peek() != "[":
            self._after_index = False
            return
        self._reordered = True
        close = self._layout.find("]", self._at + 1)
        if close < 0:
            self._good_index, self._after_index = False, False
            self._at += 1
            return
        digits = self._layout[self._at + 1 : close]
        self._at = close + 1
        self._after_index = _INDEX.fullmatch(digits) is not None
        if self._after_index and 1 <= int(digits) <= len(self._values):
            self._argument = int(digits) - 1
        else:
            self._good_index = False

    def _width(self) -> None:
        if self._peek() == "*":
            self._at += 1
            self._after_index = False
            width = self._integer_argument()
            if width is None:
                self.write(b"%!(BADWIDTH)")
            elif width < 0:
                self.flags.minus, self.flags.zero = True, False
                width = -width
            self.flags.width = width
            return
        self.flags.width = self._number()
        if self._after_index and self.flags.width is not None:
            self._good_index = False

    def _precision(self) -> None:
        if self._peek() != "." or self._at + 1 >= len(self._layout):
            return
        self._at += 1
        if self._after_index:
            self._good_index = False
        self._index()
        if self._peek() != "*":
            self.flags.precision = self._number() or 0
            return
        self._at += 1
        self._after_index = False
        precision = self._integer_argument()
        if precision is None or precision < 0:
            self.write(b"%!(BADPREC)")
        else:
            self.flags.precision = precision

    def _number(self) -> int | None:
        found = _DIGITS.match(self._layout, self._at)
        if found is None:
            return None
        if len(found.group()) > 9 or int(found.group()) > 10 * _MAX_WIDTH:
            self._at = len(self._layout)  # Go gives up on the rest of the format
            return None
        self._at = found.end()
        return int(found.group())

    def _integer_argument(self) -> int | None:
        if self._argument >= len(self._values):
            return None
        value = self._values[self._argument]
        self._argument += 1
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_WIDTH:
            return None
        return int(value)

    def _extra(self) -> None:
        self.flags = _Flags()
        self.write(b"%!(EXTRA ")
        for index, value in enumerate(self._values[self._argument :]):
            if index:
                self.write(b", ")
            if value is None:
                self.write(b"<nil>")
            else:
                self.write(f"{type_name(value)}=".encode())
                self.print_value(value, "v")
        self.write(b")")


_INDEX = re.compile(r"[0-9]{1,7}")
_DIGITS = re.compile(r"[0-9]+")
