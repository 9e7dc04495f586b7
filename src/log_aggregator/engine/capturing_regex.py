"""RE2's regular expressions with groups as those of the columnar engine: see `column_regex`.

In both, what stands first is preferred, so groups hold the same. But Rust's engine has ways of its own where something
that may be empty is repeated (it stops, where RE2 goes on), and where all alternatives begin alike: `a+b|a+` becomes
`a+(?:b|)`, which prefers otherwise. Such expressions stay row-wise.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile

from log_aggregator.engine.column_regex import NotTranslatable, compilable, translated

_ASSERTIONS = frozenset(("^", "$", r"\A", r"\z", r"(?-u:\b)"))
_CHARACTER = re.compile(r"[^\\^$.*+?(]|\\[^0-9A-Za-z]", re.DOTALL)
_NEVER = frozenset(("{0}", "{0,0}"))


@lru_cache(maxsize=1024)
def capturing_regex(pattern: str, kept: frozenset[str]) -> str | None:
    """An expression that is found in the lines in which RE2 finds `pattern`, which it has accepted, and whose groups,
    those of the kept names in their order, hold what RE2's hold. What is found may end earlier.

    None where that is not sure. If it is sure of all names, it is of some of them.
    """
    try:
        parts = translated(pattern, kept)
        if _repeats_oddly(parts) or not all(map(_begin_otherwise, _alternatives(parts))):
            return None
        return compilable(_without_tail(parts))
    except NotTranslatable:
        return None


def _repeats_oddly(parts: Sequence[str]) -> bool:
    """Whether something that may be empty is repeated without a bound, or something is repeated no time."""
    around: list[tuple[bool, bool]] = []
    # What may be empty: an alternative before, this one up to its last element, and that element.
    others, before, last = False, True, True
    for at, part in enumerate(parts):
        if _is_lazy(parts, at):
            continue
        if _begins_group(part):
            around.append((others, before and last))
            others, before, last = False, True, True
        elif part == "|":
            others, before, last = others or (before and last), True, True
        elif part == ")":
            last = others or (before and last)
            others, before = around.pop()
        elif _is_repetition(part):
            if part in _NEVER or (last and (part in ("*", "+") or part.endswith(",}"))):
                return True
            last = last or part in ("*", "?") or part.startswith("{0")
        else:
            before, last = before and last, part in _ASSERTIONS or _is_flag(part)
    return False


def _alternatives(parts: Sequence[str]) -> Iterator[list[list[str]]]:
    """Of the whole and of each group; a group within is its opening bracket alone, or its only alternative."""
    pending: list[list[list[str]]] = [[[]]]
    for at, part in enumerate(parts):
        if _begins_group(part):
            pending.append([[]])
        elif part == "|":
            pending[-1].append([])
        elif part == ")":
            group = pending.pop()
            yield group
            is_repeated = at + 1 < len(parts) and _is_repetition(parts[at + 1])
            pending[-1][-1] += ["("] if is_repeated or len(group) > 1 else group[0]
        else:
            pending[-1][-1].append(part)
    yield pending.pop()


def _begin_otherwise(alternatives: Sequence[Sequence[str]]) -> bool:
    """Whether nothing of varying length begins all of them."""
    if len(alternatives) == 1 or any(not any(map(_varies, one)) for one in alternatives):
        return True
    return any(len(set(known)) > 1 for known in zip(*map(_known_begin, alternatives), strict=False))


def _known_begin(parts: Sequence[str]) -> list[str]:
    """Characters, the last perhaps together with its repetition."""
    known = [part.casefold() for part in takewhile(_CHARACTER.fullmatch, parts)]
    if known and len(known) < len(parts) and _is_repetition(parts[len(known)]):
        last = known.pop()
        if parts[len(known) + 1] in ("*", "+"):
            known.append(last + parts[len(known) + 1])
    return known


def _without_tail(parts: list[str]) -> list[str]:
    """Without repetitions at the end, which are found however short they are, as far as no group is in them.

    To follow groups takes much longer than to find: `(GET) [^ ]+` takes twice the time of `(GET) [^ ]`.
    """
    begins = _group_begins(parts)
    rest = list(parts)
    ends: list[str] = []
    while rest:
        at = len(rest) - 1
        if rest[at] == ")" and rest[begins[at]] != "(":
            ends.append(rest.pop())
            continue
        if _is_lazy(rest, at):
            at -= 1
        begin = begins.get(at - 1, at - 1)
        if rest[at] not in ("*", "+", "?") or "(" in rest[begin:at] or _is_flag(rest[begin]):
            break
        del rest[at if rest[at] == "+" else begin :]
    return rest + ends


def _group_begins(parts: Sequence[str]) -> dict[int, int]:
    """Where groups begin, by where they end."""
    found: dict[int, int] = {}
    pending: list[int] = []
    for at, part in enumerate(parts):
        if _begins_group(part):
            pending.append(at)
        elif part == ")":
            found[at] = pending.pop()
    return found


def _begins_group(part: str) -> bool:
    return part == "(" or (part.startswith("(?") and part.endswith(":"))


def _is_flag(part: str) -> bool:
    """For what follows in its group."""
    return part.startswith("(?") and part.endswith(")") and part not in _ASSERTIONS


def _is_repetition(part: str) -> bool:
    return part in ("*", "+", "?") or part.startswith("{")


def _is_lazy(parts: Sequence[str], at: int) -> bool:
    """Whether this is a mark of the repetition before it."""
    return parts[at] == "?" and at > 0 and _is_repetition(parts[at - 1])


def _varies(part: str) -> bool:
    return _is_repetition(part) or part == "("
