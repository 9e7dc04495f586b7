"""Line filters, line by line: the meaning that the columnar form must keep (`engine.columnar`)."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address

from log_aggregator.logql.ast import LineFilterStage, LineOperand
from log_aggregator.logql.ip import Address, parse_ip_pattern
from log_aggregator.logql.loose_regex import line_expression
from log_aggregator.logql.pattern import Pattern, parse_line_pattern
from log_aggregator.logql.regex import compile_regex

Keeps = Callable[[str], bool]

_POSITIVE = {"|=": "|=", "!=": "|=", "|~": "|~", "!~": "|~", "|>": "|>", "!>": "|>"}
# Where Loki begins to look for an address, and how far it takes one to reach.
_ADDRESS = re.compile(r"(?=[0-9].?.?\.)(?=.{4})[0-9.]+|(?=::[0-9A-Fa-f]|[0-9A-Fa-f]{1,4}:)[0-9A-Fa-f:.]+", re.DOTALL)
_LONGEST_ADDRESS = 45


def compile_line_filter(stage: LineFilterStage) -> Keeps:
    """Whether a line passes the stage: any operand suffices, of a negated stage none may hold."""
    holds = [_compile_operand(_POSITIVE[stage.op], operand) for operand in choosy_operands(stage)]
    if stage.op[0] == "!":
        return lambda line: not any(one(line) for one in holds)
    if len(holds) == 1:
        return holds[0]
    return lambda line: any(one(line) for one in holds)


def choosy_operands(stage: LineFilterStage) -> tuple[LineOperand, ...]:
    """Those that count: one that every line satisfies is ignored beside others, Loki's way with `|= "a" or ""`."""
    choosy = tuple(operand for operand in stage.operands if not _accepts_all(_POSITIVE[stage.op], operand))
    return choosy or stage.operands[:1]


def _accepts_all(op: str, operand: LineOperand) -> bool:
    if operand.is_ip or op == "|>":
        return False
    return not (operand.text if op == "|=" else line_expression(operand.text))


def _compile_operand(op: str, operand: LineOperand) -> Keeps:
    text = operand.text
    if operand.is_ip:
        pattern = parse_ip_pattern(text)
        return lambda line: any(pattern.holds(address) for address in addresses_in(line))
    if op == "|=":
        return lambda line: text in line
    if op == "|~":
        search = compile_regex(line_expression(text)).search
        return lambda line: search(line) is not None
    line_pattern = parse_line_pattern(text)
    return lambda line: pattern_holds(line_pattern, line)


def pattern_holds(pattern: Pattern, line: str) -> bool:
    """A leading literal may stand anywhere, the last one must end the line, and each capture holds a character."""
    if not line or not pattern.parts:
        return not line and not pattern.parts
    at = 0
    for number, part in enumerate(pattern.parts):
        if not isinstance(part, str):
            continue
        found = line.find(part, at)
        if found < 0 or (number and found == at):
            return False
        at = found + len(part)
    return isinstance(pattern.parts[-1], str) == (at == len(line))


def addresses_in(line: str) -> Iterator[Address]:
    """What looks like an IP address in a line, from left to right."""
    at = 0
    while found := _ADDRESS.search(line, at):
        address = _address(found[0]) if len(found[0]) <= _LONGEST_ADDRESS else None
        if address is not None:
            yield address
        at = found.end() + 1


@lru_cache(maxsize=65_536)
def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
