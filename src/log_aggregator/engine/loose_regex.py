"""Regular expressions in label filters, where Loki takes some for simpler than they are.

They must match all of a value. But an expression made of one literal and of `.*`, or of one literal and alternatives
for what follows it, Loki replaces by a search for the literals, wherever they stand: `status=~"4.*"` accepts 140, and
`level=~"warn|warning"` accepts warned, as its common beginning makes it `warn(|ing)`. `info|warn` has none, and means
what it says.

So that queries have Loki's answers, this reads as much of an expression as it takes to tell.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from log_aggregator.engine.selector import Predicate


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
    r"|(?P<or>\|)|(?P<literal>[^\\.+*?()|\[\]{}^$]|\\[^\w\s])(?![*+?{])",
    re.ASCII,
)
_IGNORE_CASE = "(?i)"


def loose_predicate(pattern: str) -> Predicate | None:
    """What Loki does instead of matching the expression; None where it does match it."""
    ignore_case = pattern.startswith(_IGNORE_CASE)
    start = len(_IGNORE_CASE) if ignore_case else 0
    try:
        node, end = _alternatives(pattern, start, str.lower if ignore_case else str)
        if end != len(pattern):
            return None
        predicate = _simplified(node)
    except (_NotSimple, RecursionError):
        return None
    return (lambda value: predicate(value.lower())) if ignore_case else predicate


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


def _simplified(node: Node) -> Predicate:
    match node:
        case Literal(text):
            return lambda value: value == text
        case AnyText() | Nothing():
            return _any_value
        case SomeText():
            return lambda value: value != ""
        case Capture(inner):
            return _simplified(inner)
        case Alternation(parts):
            return _any_of([_simplified(_bare(part)) for part in parts])
        case Concatenation():
            return _any_of([_contains(text) for text in _searched(node, "")])


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


def _contains(text: str) -> Predicate:
    return lambda value: text in value


def _any_of(predicates: Sequence[Predicate]) -> Predicate:
    """One that accepts all is ignored unless it is the only one: Loki's way with `a|`."""
    choosy = [predicate for predicate in predicates if predicate is not _any_value] or [_any_value]
    return choosy[0] if len(choosy) == 1 else lambda value: any(predicate(value) for predicate in choosy)


def _any_value(value: str) -> bool:
    return True
