"""Templates over columns of texts: equal to rendering them on each row, for the functions that dashboards use most.

Of texts that are not ASCII, or long, and of all else that might differ, nothing is said: the template is rendered then.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl

from log_aggregator.engine.column_regex import column_regex
from log_aggregator.logql.regex import InvalidRegex, compile_regex
from log_aggregator.logql.template import Template
from log_aggregator.logql.template.nodes import Action, Command, FieldPath, Identifier, Node, Number, Pipe, String, Text
from log_aggregator.logql.template.strconv import MAX_INT64, SPACE

# Of each text that is read or made; so none is too long for a template.
_LONGEST_BYTES: Final = 16 << 10
# Of a column that a single function makes.
_MOST_BYTES: Final = 64 << 20

_Value = pl.Series | str | int
"""A text of each row, or one that stands in the template."""


class _NotKnown(Exception):
    """The template has to be rendered."""


def template_column(template: Template, labels: Mapping[str, pl.Series], most_bytes: int) -> pl.Series | None:
    """What the template gives of labels that it reads, of as many rows each; None if it has to be rendered.

    All that is made on the way is of so many bytes at most.
    """
    columns = _Columns(labels, most_bytes)
    try:
        parts = [columns.part(node) for node in template.body]
        return _joined(parts) if any(isinstance(part, pl.Series) for part in parts) else None
    except (_NotKnown, ValueError):
        return None


class _Columns:
    """Of the nodes of one template. All methods raise _NotKnown, and ValueError as functions do."""

    def __init__(self, labels: Mapping[str, pl.Series], most_bytes: int) -> None:
        self._labels = labels
        self._left_bytes = most_bytes

    def part(self, node: Node) -> _Value:
        match node:
            case Text(value):
                return _constant(value)
            case Action(pipe=pipe):
                return _text(self._piped(pipe))
            case _:
                raise _NotKnown

    def _piped(self, pipe: Pipe) -> _Value:
        if pipe.names:
            raise _NotKnown
        value: _Value | None = None
        for command in pipe.commands:
            value = self._commanded(command, value)
        assert value is not None, "a pipeline has commands"
        return value

    def _commanded(self, command: Command, final: _Value | None) -> _Value:
        first, *args = command.args
        if not isinstance(first, Identifier):
            if args or final is not None:
                raise _NotKnown
            return self._operand(first)
        function = _FUNCTIONS.get(first.name)
        if function is None:
            raise _NotKnown
        values = [*map(self._operand, args), *([] if final is None else [final])]
        made = _bounded(function(values))
        self._left_bytes -= _size_bytes(made)
        if self._left_bytes < 0:
            raise _NotKnown
        return made

    def _operand(self, node: object) -> _Value:
        match node:
            case FieldPath(fields=(name,)):
                return _bounded(self._labels[name])
            case String(value=value):
                return _constant(value)
            case Number(integer=int(integer), is_float_text=False) if integer <= MAX_INT64:
                return integer
            case Pipe():
                return self._piped(node)
            case _:
                raise _NotKnown


def _constant(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _NotKnown from None


def _bounded(column: pl.Series) -> pl.Series:
    longest = column.str.len_bytes().max()
    if isinstance(longest, int) and longest > _LONGEST_BYTES:
        raise _NotKnown
    return column


def _size_bytes(column: pl.Series) -> int:
    return int(column.str.len_bytes().sum())


def _check_size(size_bytes: int) -> None:
    """Before so much is made at once."""
    if size_bytes > _MOST_BYTES:
        raise _NotKnown


def _joined(parts: Sequence[_Value]) -> pl.Series:
    rows = max(len(part) for part in parts if isinstance(part, pl.Series))
    _check_size(sum(_size_bytes(part) if isinstance(part, pl.Series) else 4 * len(str(part)) * rows for part in parts))
    return pl.select(pl.concat_str([pl.lit(part) for part in parts])).to_series()


# What arguments have to be.


def _text(value: _Value) -> pl.Series | str:
    if isinstance(value, int):
        raise _NotKnown
    return value


def _column(value: _Value) -> pl.Series:
    if not isinstance(value, pl.Series):
        raise _NotKnown
    return value


def _literal(value: _Value) -> str:
    if not isinstance(value, str):
        raise _NotKnown
    return value


def _position(value: _Value) -> int:
    if not isinstance(value, int) or value < 0:
        raise _NotKnown
    return value


def _ascii(value: _Value) -> pl.Series:
    """Whose characters are bytes."""
    column = _column(value)
    if (column.str.len_bytes() != column.str.len_chars()).any():
        raise _NotKnown
    return column


# Functions. A number of arguments that a function does not take is a ValueError.


def _replaced_by_regex(values: Sequence[_Value]) -> pl.Series:
    pattern, text, replacement = values
    if "$" in _literal(replacement):
        raise _NotKnown
    return _replaced(pattern, text, _literal(replacement))


def _replaced_literally(values: Sequence[_Value]) -> pl.Series:
    pattern, text, replacement = values
    return _replaced(pattern, text, _literal(replacement).replace("$", "$$"))


def _replaced(pattern: _Value, text: _Value, replacement: str) -> pl.Series:
    try:
        compile_regex(_literal(pattern))
    except InvalidRegex:
        raise _NotKnown from None
    found = column_regex(_literal(pattern))
    if found is None:
        raise _NotKnown
    _check_growth(_column(text), found, replacement, literal=False)
    return _column(text).str.replace_all(found, replacement)


def _replace(values: Sequence[_Value]) -> pl.Series:
    old, new, text = values
    if not _literal(old):
        raise _NotKnown
    _check_growth(_column(text), _literal(old), _literal(new), literal=True)
    return _column(text).str.replace_all(_literal(old), _literal(new), literal=True)


def _check_growth(text: pl.Series, pattern: str, replacement: str, *, literal: bool) -> None:
    size_bytes, new_bytes = _size_bytes(text), 4 * len(replacement)
    if size_bytes + (size_bytes + len(text)) * new_bytes > _MOST_BYTES:  # if each character were replaced
        _check_size(size_bytes + int(text.str.count_matches(pattern, literal=literal).sum()) * new_bytes)


def _truncated(values: Sequence[_Value]) -> pl.Series:
    count, text = values
    return _ascii(text).str.head(_position(count))


def _substring(values: Sequence[_Value]) -> pl.Series:
    start, end, text = values
    start, end, text = _position(start), _position(end), _ascii(text)
    if start > end:
        raise _NotKnown
    if (text.str.len_bytes() < start).any():  # which fails
        raise _NotKnown
    return text.str.slice(start, end - start)


def _default(values: Sequence[_Value]) -> pl.Series:
    fallback, text = values
    text = _column(text)
    return text.zip_with(text != "", pl.Series([_literal(fallback)]))


def _formatted(values: Sequence[_Value]) -> pl.Series:
    layout, *rest = values
    texts = _literal(layout).replace("%v", "%s").split("%s")
    if len(texts) != len(rest) + 1 or any("%" in text for text in texts):
        raise _NotKnown
    pieces = [piece for pair in zip(texts, map(_text, rest), strict=False) for piece in pair]
    if not any(isinstance(piece, pl.Series) for piece in pieces):
        raise _NotKnown
    return _joined([*pieces, texts[-1]])


def _with(change: Callable[[pl.Series], pl.Series]) -> Callable[[Sequence[_Value]], pl.Series]:
    def changed(values: Sequence[_Value]) -> pl.Series:
        (text,) = values
        return change(_ascii(text))

    return changed


def _without_prefix(values: Sequence[_Value]) -> pl.Series:
    prefix, text = values
    return _column(text).str.strip_prefix(_literal(prefix))


def _without_suffix(values: Sequence[_Value]) -> pl.Series:
    suffix, text = values
    return _column(text).str.strip_suffix(_literal(suffix))


def _swapped(function: Callable[[Sequence[_Value]], pl.Series]) -> Callable[[Sequence[_Value]], pl.Series]:
    return lambda values: function(values[::-1])


_LOWER, _UPPER = _with(lambda text: text.str.to_lowercase()), _with(lambda text: text.str.to_uppercase())
_TRIM = _with(lambda text: text.str.strip_chars(SPACE))

_FUNCTIONS: Final[Mapping[str, Callable[[Sequence[_Value]], pl.Series]]] = {
    "ToLower": _LOWER,
    "ToUpper": _UPPER,
    "TrimPrefix": _swapped(_without_prefix),
    "TrimSpace": _TRIM,
    "TrimSuffix": _swapped(_without_suffix),
    "default": _default,
    "lower": _LOWER,
    "printf": _formatted,
    "regexReplaceAll": _replaced_by_regex,
    "regexReplaceAllLiteral": _replaced_literally,
    "replace": _replace,
    "substr": _substring,
    "trim": _TRIM,
    "trimPrefix": _without_prefix,
    "trimSuffix": _without_suffix,
    "trunc": _truncated,
    "upper": _UPPER,
}
