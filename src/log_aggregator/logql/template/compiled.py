"""A compiled template, and what an engine may want to know about it without running it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from log_aggregator.logql.template.closures import NotPlain, Rendering, compile_closures
from log_aggregator.logql.template.evaluate import execute, has_function
from log_aggregator.logql.template.limits import Budget
from log_aggregator.logql.template.nodes import (
    Action,
    Chain,
    Dot,
    FieldPath,
    Identifier,
    If,
    Node,
    Operand,
    Pipe,
    Range,
    TemplateCall,
    Text,
    Variable,
    With,
)
from log_aggregator.logql.template.parser import Tree, parse
from log_aggregator.logql.template.regex import RegexCache
from log_aggregator.logql.template.signatures import Context
from log_aggregator.logql.template.strconv import decode_utf8, encode_utf8


@dataclass(frozen=True, slots=True)
class Field:
    """A place where the value of a label goes, empty if there is no such label."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A template ready to be rendered.

    needs: names of all labels it may read; None if that cannot be known, as when it ranges over them.
    simple: texts and fields to be put together, if the template is nothing but that; else None.
    """

    needs: frozenset[str] | None
    uses_line: bool
    uses_timestamp: bool
    simple: tuple[str | Field, ...] | None
    _tree: Tree
    _closures: Rendering | None
    _now_ns: Callable[[], int]
    _regexes: RegexCache

    @property
    def body(self) -> tuple[Node, ...]:
        """What it consists of, but for templates that are defined within it."""
        return self._tree.bodies[self._tree.name]

    def render(self, labels: Mapping[str, str], line: str, timestamp_ns: int) -> str:
        """Run the template on an entry.

        Bytes that are not UTF-8 are lone surrogates (`surrogateescape`) in all texts, given and returned: a template
        can cut a character in two. Raises TemplateRuntimeError.
        """
        if self.simple is not None:
            return "".join(part if isinstance(part, str) else labels.get(part.name, "") for part in self.simple)
        context = Context(encode_utf8(line), timestamp_ns, self._now_ns, self._regexes, Budget())
        if self._closures is not None:
            try:
                return decode_utf8(self._closures(labels, context))
            except NotPlain:
                context = replace(context, budget=Budget())
        return decode_utf8(execute(self._tree, labels, context))


@lru_cache(maxsize=256)
def compile_template(text: str, name: str = "line", now_ns: Callable[[], int] = time.time_ns) -> Template:
    """Compile a template; raises TemplateError.

    name: stands in messages; Loki's is "line" for line_format and "label" for label_format.
    now_ns: the clock behind `now`, in nanoseconds since 1970.
    """
    tree = parse(name, text, has_function)
    needs, functions = _needs(tree)
    return Template(
        needs=needs,
        uses_line="__line__" in functions,
        uses_timestamp="__timestamp__" in functions,
        simple=_simple(tree.bodies[name]),
        _tree=tree,
        _closures=compile_closures(tree),
        _now_ns=now_ns,
        _regexes=RegexCache(),
    )


def _simple(body: tuple[Node, ...]) -> tuple[str | Field, ...] | None:
    parts: list[str | Field] = []
    for node in body:
        match node:
            case Text(value):
                parts.append(decode_utf8(value))
            case Action(pipe=Pipe(names=(), commands=(command,))) if len(command.args) == 1:
                operand = command.args[0]
                if not isinstance(operand, FieldPath) or len(operand.fields) != 1:
                    return None
                parts.append(Field(operand.fields[0]))
            case _:
                return None
    return tuple(parts)


def _needs(tree: Tree) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The labels that a template may read, and the functions it calls."""
    reader = _Reader()
    for name, body in tree.bodies.items():
        reader.body(body, is_root=name == tree.name)
    return (None if reader.takes_all else frozenset(reader.labels)), frozenset(reader.functions)


class _Reader:
    """Collects what is read of the labels.

    Only dot and `$` of the outermost template are the labels. Elsewhere they can be so only if the labels have been
    passed on whole, which is noticed there.
    """

    def __init__(self) -> None:
        self.labels: set[str] = set()
        self.functions: set[str] = set()
        self.takes_all = False
        self._in_main = False

    def body(self, nodes: Iterable[Node], *, is_root: bool) -> None:
        self._in_main = is_root
        self._nodes(nodes, is_root)

    def _nodes(self, nodes: Iterable[Node], is_root: bool) -> None:
        for node in nodes:
            match node:
                case Action(pipe=pipe):
                    self._pipe(pipe, is_root)
                case If(branches, orelse) | With(branches, orelse):
                    for pipe, body in branches:
                        self._pipe(pipe, is_root)
                        self._nodes(body, is_root and isinstance(node, If))
                    self._nodes(orelse, is_root)
                case Range(pipe, body, orelse):
                    self._pipe(pipe, is_root)
                    self._nodes(body, False)
                    self._nodes(orelse, is_root)
                case TemplateCall(pipe=Pipe() as pipe):
                    self._pipe(pipe, is_root)
                case _:
                    pass

    def _pipe(self, pipe: Pipe, is_root: bool) -> None:
        for operand in _operands(pipe):
            match operand:
                case FieldPath(fields=fields) if is_root:
                    self.labels.add(fields[0])
                case Dot() if is_root:
                    self.takes_all = True
                case Variable(name="$", fields=fields) if self._in_main:
                    self.labels.update(fields[:1])
                    self.takes_all |= not fields
                case Identifier(name=name):
                    self.functions.add(name)
                case _:
                    pass


def _operands(pipe: Pipe) -> Iterator[Operand]:
    """All operands of a pipeline but the pipelines within it, whose operands are given instead."""
    pending: list[Operand] = [arg for command in pipe.commands for arg in command.args]
    while pending:
        operand = pending.pop()
        match operand:
            case Pipe():
                pending += [arg for command in operand.commands for arg in command.args]
            case Chain():
                pending.append(operand.operand)
            case _:
                yield operand
