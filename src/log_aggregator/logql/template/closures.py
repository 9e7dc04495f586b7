"""Templates without variables, loops and methods, as closures: several times as fast as `evaluate`.

Whatever is not plain is left to the evaluator, which defines what a template gives: errors, with their messages, values
of other types than a function takes, and long texts, whose limits it counts. So no closure counts anything.
"""

from collections.abc import Callable, Mapping
from typing import Final

from log_aggregator.logql.template.builtins import BUILTINS
from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.functions import FUNCTIONS
from log_aggregator.logql.template.limits import (
    MAX_NESTING,
    MAX_STEPS,
    MAX_STRING_BYTES,
    MAX_WORK_BYTES,
    REGEX_COMPILE_WORK_BYTES,
)
from log_aggregator.logql.template.nodes import (
    Action,
    Bool,
    Command,
    FieldPath,
    Identifier,
    If,
    Node,
    Number,
    Operand,
    Pipe,
    String,
    Text,
    Variable,
)
from log_aggregator.logql.template.parser import Tree
from log_aggregator.logql.template.printf import sprint
from log_aggregator.logql.template.signatures import PYTHON_TYPES, Context, Function, Type
from log_aggregator.logql.template.strconv import MAX_INT64, encode_utf8
from log_aggregator.logql.template.values import Value, is_true, unbox

# Of each text that is read or made. UTF-8 has at most four bytes for a character.
_LONGEST_BYTES: Final = 64 << 10
_LONGEST_CHARACTERS: Final = _LONGEST_BYTES // 4

Rendering = Callable[[Mapping[str, str], Context], bytes]
"""Of labels; raises NotPlain."""
_Expression = Callable[[Mapping[str, str], Context], Value]
"""Not boxed, as a pipeline takes what its commands give out of its box; raises NotPlain, CallError."""


class NotPlain(Exception):
    """It is for the evaluator to say what a template, or one rendering of it, gives."""


def compile_closures(tree: Tree) -> Rendering | None:
    """None where the evaluator has to render all."""
    try:
        body = _Compiler().body(tree.bodies[tree.name], levels=MAX_NESTING)
    except NotPlain:
        return None

    def rendered(labels: Mapping[str, str], context: Context) -> bytes:
        output: list[bytes] = []
        try:
            body(labels, context, output)
        except CallError:
            raise NotPlain from None
        text = b"".join(output)
        if len(text) > MAX_STRING_BYTES:
            raise NotPlain
        return text

    return rendered


_Body = Callable[[Mapping[str, str], Context, list[bytes]], None]


class _Compiler:
    """All methods raise NotPlain. No node runs twice, so their number bounds what a rendering may cost."""

    def __init__(self) -> None:
        self._steps = 0
        self._work_bytes = 0

    def body(self, nodes: tuple[Node, ...], levels: int) -> _Body:
        """Of at most so many levels of nesting."""
        if not levels:
            raise NotPlain
        parts = [self._node(node, levels - 1) for node in nodes]

        def run(labels: Mapping[str, str], context: Context, output: list[bytes]) -> None:
            for part in parts:
                part(labels, context, output)

        return run

    def _node(self, node: Node, levels: int) -> _Body:
        self._step()
        match node:
            case Text(value):
                return lambda labels, context, output: output.append(value)
            case Action(pipe=pipe):
                self._work(_LONGEST_BYTES)
                return _printed(self._pipe(pipe, levels))
            case If(branches, orelse):
                found = [(self._pipe(pipe, levels), self.body(nodes, levels)) for pipe, nodes in branches]
                return _first_true(found, self.body(orelse, levels))
            case _:
                raise NotPlain

    def _pipe(self, pipe: Pipe, levels: int) -> _Expression:
        if pipe.names or not levels:
            raise NotPlain
        value: _Expression | None = None
        for command in pipe.commands:
            self._step()
            value = self._command(command, value, levels - 1)
        if value is None:
            raise NotPlain
        return value

    def _command(self, command: Command, final: _Expression | None, levels: int) -> _Expression:
        first, *args = command.args
        if isinstance(first, Identifier):
            return self._function(first.name, tuple(args), final, levels)
        if args or final is not None:
            raise NotPlain
        return self._argument(first, Type.VALUE, levels)

    def _function(self, name: str, args: tuple[Operand, ...], final: _Expression | None, levels: int) -> _Expression:
        if name in ("and", "or"):
            values = [self._argument(arg, Type.VALUE, levels) for arg in args]
            return _short_circuit(values, final, until=name == "or")
        if name == "call":
            raise NotPlain
        function = FUNCTIONS.get(name) or BUILTINS[name]
        given, wanted = len(args) + (final is not None), len(function.params)
        if given < wanted - function.variadic or (given > wanted and not function.variadic):
            raise NotPlain
        values = [self._argument(arg, function.type_of(index), levels) for index, arg in enumerate(args)]
        if final is not None:
            values.append(_checked(final, function.type_of(len(args))))
        self._work(_LONGEST_BYTES * (given * function.weight + 1))
        if function.needs_context:
            self._work(REGEX_COMPILE_WORK_BYTES)
        return _call(function, values)

    def _argument(self, node: Operand, wanted: Type, levels: int) -> _Expression:
        self._step()
        match node:
            case FieldPath(fields=(name,)) | Variable(name="$", fields=(name,)):
                if wanted not in (Type.STRING, Type.ANY, Type.VALUE):
                    raise NotPlain
                return _label(name)
            case Pipe():
                return _checked(self._pipe(node, levels), wanted)
            case Identifier(name=name):
                return _checked(self._function(name, (), None, levels), wanted)
            case Bool() | Number() | String():
                return _constant(node, wanted)
            case _:
                raise NotPlain

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise NotPlain

    def _work(self, size_bytes: int) -> None:
        self._work_bytes += size_bytes
        if self._work_bytes > MAX_WORK_BYTES:
            raise NotPlain


def _printed(value: _Expression) -> _Body:
    def action(labels: Mapping[str, str], context: Context, output: list[bytes]) -> None:
        found = value(labels, context)
        if type(found) is not bytes:
            found = b"<no value>" if found is None else _bounded(sprint((found,)))
        output.append(found)

    return action


def _first_true(branches: list[tuple[_Expression, _Body]], orelse: _Body) -> _Body:
    def branch(labels: Mapping[str, str], context: Context, output: list[bytes]) -> None:
        for value, body in branches:
            if is_true(value(labels, context)):
                body(labels, context, output)
                return
        orelse(labels, context, output)

    return branch


def _label(name: str) -> _Expression:
    def value(labels: Mapping[str, str], context: Context) -> bytes:
        text = labels.get(name, "")
        if len(text) > _LONGEST_CHARACTERS:
            raise NotPlain
        return encode_utf8(text)

    return value


def _constant(node: Bool | Number | String, wanted: Type) -> _Expression:
    value = _number(node, wanted) if isinstance(node, Number) else node.value
    takes_all = wanted in (Type.ANY, Type.VALUE)
    if not (takes_all or isinstance(node, Number) or (isinstance(node, String) and wanted is Type.STRING)):
        raise NotPlain
    if isinstance(value, bytes):
        _bounded(value)
    return lambda labels, context: value


def _number(node: Number, wanted: Type) -> Value:
    if wanted is Type.FLOAT or (node.is_float_text and wanted in (Type.ANY, Type.VALUE)):
        return node.floating
    if wanted in (Type.ANY, Type.VALUE, Type.INT) and node.integer is not None and node.integer <= MAX_INT64:
        return node.integer
    raise NotPlain


def _short_circuit(values: list[_Expression], final: _Expression | None, *, until: bool) -> _Expression:
    """The first whose truth is that, or else the last. The final one has been worked out before."""
    if not values and final is None:
        raise NotPlain

    def value(labels: Mapping[str, str], context: Context) -> Value:
        last = None if final is None else final(labels, context)
        found: Value = None
        for one in values:
            found = one(labels, context)
            if is_true(found) is until:
                return found
        return found if final is None else last

    return value


def _call(function: Function, args: list[_Expression]) -> _Expression:
    call, needs_context = function.call, function.needs_context

    def value(labels: Mapping[str, str], context: Context) -> Value:
        values = [arg(labels, context) for arg in args]
        result = call(context, *values) if needs_context else call(*values)
        return _bounded(result) if type(result) is bytes else unbox(result)

    return value


def _checked(value: _Expression, wanted: Type) -> _Expression:
    """Of the type, as an argument has to be."""
    if wanted in (Type.ANY, Type.VALUE):
        return value
    exact = PYTHON_TYPES[wanted]

    def checked(labels: Mapping[str, str], context: Context) -> Value:
        found = value(labels, context)
        if type(found) is not exact:
            raise NotPlain
        return found

    return checked


def _bounded(text: bytes) -> bytes:
    if len(text) > _LONGEST_BYTES:
        raise NotPlain
    return text
