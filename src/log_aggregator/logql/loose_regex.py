"""Regular expressions in line filters and label filters, where Loki takes some for simpler than they are.

Those of line filters must match somewhere in the line, those of label filters all of the value. But an expression made
of one literal and of `.*`, or of one literal and alternatives for what follows it, Loki replaces by a search for the
literals, wherever they stand: `status=~"4.*"` accepts 140, and `level=~"warn|warning"` accepts warned, as its common
beginning makes it `warn(|ing)`. `info|warn` has none, and means what it says. `|~ "error.*(timeout|refused)"` looks
for errortimeout and errorrefused. An alternative that everything satisfies is ignored beside others: `|~ "error|"`
looks for error.

So that queries have Loki's answers, this reads as much of an expression as it takes to tell.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class AnyText:
    """`.*`"""


@dataclass(frozen=True, slots=True)
class SomeText:
    """`.+`"""


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Capture:
    inner: "Node"


@dataclass(frozen=True, slots=True)
class Concatenation:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    parts: "tuple[Node, ...]"


Node = Literal | AnyText | SomeText | Nothing | Capture | Concatenation | Alternation


class _NotSimple(Exception):
    """The expression has something that no search for literals can stand for."""


_TOKEN = re.compile(
    r"(?P<any>\.\*\??)|(?P<some>\.\+\??)|(?P<plain>\(\?:)|(?P<capture>\((?:\?P?<\w+>|(?!\?)))|(?P<close>\))"
    r"|(?P<or>\|)|(?P<literal>[^\\.+*?()|\[\]{}^$]|\\[^\w\s])(?![*+?{])|\[(?P<class>[^\\^\[\]])\](?![*+?{])",
    re.ASCII,
)
_IGNORE_CASE = "(?i)"
# Characters that are the lower case of one which their own upper and title case do not lead to.
_FURTHER_UPPER_CASES = {
    "k": "\u212a",
    "\u00e5": "\u212b",
    "\u03c9": "\u2126",
    "i": "\u0130",
    "\u03b8": "\u03f4",
    "\u00df": "\u1e9e",
}


def line_expression(pattern: str) -> str:
    """The expression that finds in lines what Loki finds with the pattern; empty if that is everything."""
    loose = _loose(pattern, of_labels=False)
    return pattern if loose is None else loose


def value_expression(pattern: str) -> str | None:
    """The expression that finds in values what Loki's label filters accept; None where they match all of a value."""
    return _loose(pattern, of_labels=True)


@lru_cache(maxsize=1024)
def _loose(pattern: str, *, of_labels: bool) -> str | None:
    """What Loki does instead of matching the expression; None where it does match it."""
    ignore_case = pattern.startswith(_IGNORE_CASE)
    start = len(_IGNORE_CASE) if ignore_case else 0
    try:
        node, end = _alternatives(pattern, start, _without_case if ignore_case else str)
        if end != len(pattern):
            return None
        choices = _choices(node)
    except (_NotSimple, RecursionError):
        return None
    spelt = _in_any_case if ignore_case else _as_written
    return "|".join(
        "(?s:.)" if choice is None else spelt(choice.text, is_whole=choice.is_whole and of_labels) for choice in choices
    )


def _alternatives(pattern: str, at: int, fold: Callable[[str], str]) -> tuple[Node, int]:
    """What stands from here to the end or to a closing parenthesis, and where that is."""
    legs: list[Node] = []
    parts: list[Node] = []
    while (token := _TOKEN.match(pattern, at)) is not None and token.lastgroup != "close":
        at = token.end()
        match token.lastgroup:
            case "any":
                parts.append(AnyText())
            case "some":
                parts.append(SomeText())
            case "or":
                legs.append(_concatenated(parts))
                parts = []
            case "literal":
                parts.append(Literal(fold(token[0][-1])))
            case "class" if fold is str or _has_two_cases(token["class"]):
                parts.append(Literal(fold(token["class"])))
            case "class":
                raise _NotSimple
            case group:
                inner, at = _alternatives(pattern, at, fold)
                if pattern[at : at + 1] != ")" or pattern[at + 1 : at + 2] in ("*", "+", "?", "{"):
                    raise _NotSimple
                at += 1
                parts.append(Capture(inner) if group == "capture" else inner)
    if at < len(pattern) and token is None:
        raise _NotSimple
    legs.append(_concatenated(parts))
    return _factored(_merged(legs)), at


def _merged(legs: Sequence[Node]) -> list[Node]:
    """Neighbours that are single characters become a class of characters, unless they are the same."""
    merged: list[Node] = []
    for leg in legs:
        if merged and _is_character(leg) and _is_character(merged[-1]) and leg != merged[-1]:
            raise _NotSimple
        if not merged or leg != merged[-1] or not (leg == Nothing() or _is_character(leg)):
            merged.append(leg)
    return merged


def _concatenated(parts: Sequence[Node]) -> Node:
    """Characters in a row are one literal; not those of a group of several parts, which only lie beside others."""
    flat: list[Node] = []
    previous: Node | None = None
    for part in parts:
        if isinstance(part, Literal) and isinstance(previous, Literal):
            part = Literal(previous.text + part.text)
            flat[-1] = part
        else:
            flat += part.parts if isinstance(part, Concatenation) else (part,)
        previous = part
    return _in_a_row(flat)


def _in_a_row(parts: Sequence[Node]) -> Node:
    if not parts:
        return Nothing()
    return parts[0] if len(parts) == 1 else Concatenation(tuple(parts))


def _factored(legs: Sequence[Node]) -> Node:
    """Neighbours that begin with the same characters become their beginning and alternatives for the rest."""
    if len(legs) == 1:
        return legs[0]
    flat = [one for leg in legs for one in (leg.parts if isinstance(leg, Alternation) else (leg,))]
    factored: list[Node] = []
    for first, group in groupby(flat, key=lambda leg: _beginning(leg)[:1]):
        members = list(group)
        if first and len(members) > 1:
            length = _common_length([_beginning(member) for member in members])
            rest = _factored([_without(member, length) for member in members])
            factored.append(Concatenation((Literal(_beginning(members[0])[:length]), rest)))
        else:
            factored += members
    merged = _merged(factored)
    return merged[0] if len(merged) == 1 else Alternation(tuple(merged))


def _common_length(texts: Sequence[str]) -> int:
    first, last = min(texts), max(texts)
    return next((at for at, char in enumerate(first) if char != last[at]), len(first))


def _beginning(leg: Node) -> str:
    match leg:
        case Literal(text):
            return text
        case Concatenation((Literal(text), *_)):
            return text
        case _:
            return ""


def _without(leg: Node, length: int) -> Node:
    match leg:
        case Literal(text):
            return Literal(text[length:]) if len(text) > length else Nothing()
        case Concatenation((Literal(text), *rest)):
            return _in_a_row((Literal(text[length:]), *rest) if len(text) > length else rest)
        case _:
            return leg


def _is_character(leg: Node) -> bool:
    return isinstance(leg, Literal) and len(leg.text) == 1


@dataclass(frozen=True, slots=True)
class Search:
    """A text that must stand somewhere; or, of a label, be all of its value."""

    text: str
    is_whole: bool


def _choices(node: Node) -> "list[Search | None]":
    """Of which one suffices; None is any character. There are none where everything is accepted."""
    match node:
        case Literal(text):
            return [Search(text, is_whole=True)]
        case AnyText() | Nothing():
            return []
        case SomeText():
            return [None]
        case Capture(inner):
            return _choices(inner)
        case Alternation(parts):
            return [choice for part in parts for choice in _choices(_bare(part))]
        case Concatenation():
            return [Search(text, is_whole=False) for text in _searched(node, "")]


def _bare(node: Node) -> Node:
    return node.inner if isinstance(node, Capture) else node


def _searched(node: Concatenation, literal: str) -> list[str]:
    """The literals of which a value needs to hold one."""
    parts = [part for part in map(_bare, node.parts) if part != Nothing()]
    if len(parts) > 3:
        raise _NotSimple
    found: list[str] = []
    has_literal = False
    for part in parts:
        match part:
            case Literal(text) if not has_literal:
                has_literal = True
                literal += text
            case Alternation(alternatives) if literal:
                for alternative in alternatives:
                    found += _searched_alternative(alternative, literal)
            case AnyText():
                pass
            case _:
                raise _NotSimple
    if found:
        return found
    if not literal:
        raise _NotSimple
    return [literal]


def _searched_alternative(alternative: Node, literal: str) -> list[str]:
    match alternative:
        case Nothing() | AnyText():
            return [literal]
        case Literal(text):
            return [literal + text]
        case Concatenation():
            return _searched(alternative, literal)
        case _:
            raise _NotSimple


def _as_written(text: str, *, is_whole: bool) -> str:
    return _bounded(map(re.escape, text), is_whole=is_whole)


def _in_any_case(text: str, *, is_whole: bool) -> str:
    """Loki compares the lower case of each character, but looks for the first by a byte, and at a value's length."""
    spelt = []
    for at, lower in enumerate(text):
        forms = {lower, *(form for form in _upper_cases(lower) if _lower(form) == lower)}
        if at == 0:
            forms = {form for form in forms if _first_byte(form) == _first_byte(lower)}
        if is_whole:
            forms = {form for form in forms if len(form.encode()) == len(lower.encode())}
        spelt.append(f"[{''.join(map(re.escape, sorted(forms)))}]" if len(forms) > 1 else re.escape(lower))
    return _bounded(spelt, is_whole=is_whole)


def _bounded(spelt: Iterable[str], *, is_whole: bool) -> str:
    expression = "".join(spelt)
    return rf"\A{expression}\z" if is_whole else expression


def _has_two_cases(char: str) -> bool:
    """Go makes a class of one letter a literal, but not of one that has a third form, as k has the Kelvin sign."""
    return char.isascii() and char.isalpha() and char not in "kKsS"


def _without_case(char: str) -> str:
    folded = char.casefold()
    return _lower(folded if len(folded) == 1 else char)


def _lower(char: str) -> str:
    """One character for one, as Go has it."""
    return char.lower()[:1]


def _upper_cases(lower: str) -> tuple[str, ...]:
    forms = (lower.upper(), lower.title(), _FURTHER_UPPER_CASES.get(lower, ""))
    return tuple(form for form in forms if len(form) == 1)


def _first_byte(char: str) -> bytes:
    return char.encode()[:1].lower()
