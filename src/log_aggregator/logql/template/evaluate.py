"""Runs a syntax tree over an entry. What is true, nil, an error, and where it is reported, follows Go."""

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from log_aggregator.logql.template.builtins import BUILTINS
from log_aggregator.logql.template.errors import CallError, TemplateRuntimeError
from log_aggregator.logql.template.functions import FUNCTIONS
from log_aggregator.logql.template.limits import ELEMENT_WORK_BYTES
from log_aggregator.logql.template.methods import METHODS
from log_aggregator.logql.template.nodes import (
    Action,
    Bool,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    FieldPath,
    Identifier,
    If,
    Located,
    Nil,
    Node,
    Number,
    Operand,
    Pipe,
    Range,
    String,
    TemplateCall,
    Text,
    Variable,
    With,
)
from log_aggregator.logql.template.parser import Tree
from log_aggregator.logql.template.printf import sprint
from log_aggregator.logql.template.signatures import PYTHON_TYPES, Context, Function, Type
from log_aggregator.logql.template.strconv import MAX_INT64, decode_utf8, encode_utf8, quote_text
from log_aggregator.logql.template.values import (
    Boxed,
    Labels,
    Value,
    is_integer,
    is_true,
    items_of,
    type_name,
    unbox,
)


class _Missing(Enum):
    """Says that no value came from an earlier command of the pipeline; None would be a value."""

    VALUE = auto()


_MISSING = _Missing.VALUE


class _Leave(Enum):
    """Why the rest of a body is not run."""

    BREAK = auto()
    CONTINUE = auto()


# Functions that do not look at the arguments after the one that decides.
_SHORT_CIRCUITS = frozenset({"and", "or"})


def has_function(name: str) -> bool:
    return name in FUNCTIONS or name in BUILTINS or name in _SHORT_CIRCUITS


def execute(tree: Tree, labels: Mapping[str, str], context: Context) -> bytes:
    """Run the template on an entry; raises TemplateRuntimeError."""
    run = _Run(tree, context)
    try:
        run.template(tree.name, Labels(labels))
    except CallError as error:  # a limit, or a value that cannot be printed within one
        raise run.error(str(error)) from None
    return b"".join(run.output)


class _Run:
    def __init__(self, tree: Tree, context: Context) -> None:
        self.output: list[bytes] = []
        self._tree = tree
        self._context = context
        self._name = tree.name
        self._variables: list[tuple[str, Value]] = []
        self._at: Located | None = None
        self._budget = context.budget

    def error(self, message: str) -> TemplateRuntimeError:
        """An error at the node being evaluated."""
        if self._at is None:
            return TemplateRuntimeError(f"template: {self._tree.name}: {message}")
        before = self._tree.text[: self._at.pos]
        column = len(encode_utf8(before[before.rfind("\n") + 1 :]))
        place = f"{self._tree.name}:{before.count(chr(10)) + 1}:{column}"
        name = quote_text(self._name)
        return TemplateRuntimeError(f"template: {place}: executing {name} at <{self._at}>: {message}")

    def _write(self, text: bytes) -> None:
        self._budget.write(len(text))
        self.output.append(text)

    # Bodies.

    def template(self, name: str, dot: Value) -> None:
        """Run one of the tree's templates with a fresh set of variables."""
        outer = self._name, self._variables
        self._name, self._variables = name, [("$", dot)]
        self._body(self._tree.bodies[name], dot)
        self._name, self._variables = outer

    def _body(self, nodes: tuple[Node, ...], dot: Value) -> _Leave | None:
        left = None
        self._budget.enter()
        for node in nodes:
            self._budget.step()
            left = self._node(node, dot)
            if left is not None:
                break
        self._budget.leave()
        return left

    def _node(self, node: Node, dot: Value) -> _Leave | None:
        match node:
            case Text():
                self._write(node.value)
            case Action():
                self._action(node, dot)
            case If() | With():
                return self._branch(node, dot)
            case Range():
                return self._range(node, dot)
            case TemplateCall():
                self._call_template(node, dot)
            case Break():
                return _Leave.BREAK
            case Continue():
                return _Leave.CONTINUE
        return None

    def _action(self, node: Action, dot: Value) -> None:
        value = self._pipe(node.pipe, dot)
        if node.pipe.names:
            return
        self._at = node
        if type(value) is bytes:
            self._write(value)
        elif value is None:
            self._write(b"<no value>")
        else:
            self._write(sprint((value,)))

    def _branch(self, node: If | With, dot: Value) -> _Leave | None:
        mark = len(self._variables)
        for pipe, body in node.branches:
            value = self._pipe(pipe, dot)
            if is_true(value):
                left = self._body(body, value if isinstance(node, With) else dot)
                break
        else:
            left = self._body(node.orelse, dot)
        del self._variables[mark:]
        return left

    def _range(self, node: Range, dot: Value) -> _Leave | None:
        mark = len(self._variables)
        value = unbox(self._pipe(node.pipe, dot))
        ran = self._iterate(node, value)
        del self._variables[mark:]
        return None if ran else self._body(node.orelse, dot)

    def _iterate(self, node: Range, value: Value) -> bool:
        """Run the body for each element, and tell whether there was one."""
        mark = len(self._variables)
        ran = False
        for index, element in self._elements(node, value):
            self._budget.step()
            ran = True
            self._set_range_variables(node.pipe, index, element)
            left = self._body(node.body, element)
            del self._variables[mark:]
            if left is _Leave.BREAK:
                break
        return ran

    def _elements(self, node: Range, value: Value) -> Iterable[tuple[Value, Value]]:
        if isinstance(value, list | dict):
            self._budget.work(len(value) * ELEMENT_WORK_BYTES)
        if is_integer(value):
            if len(node.pipe.names) > 1:
                raise self.error(f"can't use {decode_utf8(sprint((value,)))} to iterate over more than one variable")
            kind = type(value)
            return ((None, kind(number)) for number in range(value))
        match value:
            case None:
                return ()
            case list():
                return ((index, Boxed(element)) for index, element in enumerate(value))
            case dict() | Labels():
                return items_of(value)
            case _:
                raise self.error(f"range can't iterate over {decode_utf8(sprint((value,)))}")

    def _set_range_variables(self, pipe: Pipe, index: Value, element: Value) -> None:
        names = pipe.names
        if not names:
            return
        values = (element,) if len(names) == 1 else (index, element)
        if pipe.assigns:
            for name, value in zip(names, values, strict=True):
                self._assign(name, value)
        else:
            self._variables[-len(names) :] = zip(names, values, strict=True)

    def _call_template(self, node: TemplateCall, dot: Value) -> None:
        self._at = node
        if node.name not in self._tree.bodies:
            raise self.error(f"template {quote_text(node.name)} not defined")
        argument = self._pipe(node.pipe, dot) if node.pipe is not None else None
        self.template(node.name, argument)

    # Variables.

    def _assign(self, name: str, value: Value) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        raise self.error(f"undefined variable: {name}")

    def _lookup(self, name: str) -> Value:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self.error(f"undefined variable: {name}")

    # Pipelines.

    def _pipe(self, pipe: Pipe, dot: Value) -> Value:
        self._at = pipe
        self._budget.enter()
        value: Value = _MISSING
        for command in pipe.commands:
            self._budget.step()
            value = unbox(self._command(command, dot, value))
        self._budget.leave()
        for name in pipe.names:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, command: Command, dot: Value, final: Value) -> Value:
        first = command.args[0]
        args = command.args[1:]
        match first:
            case FieldPath():
                self._at = first
                return self._fields(dot, dot, first, first.fields, args, final)
            case Chain():
                return self._chain(first, dot, args, final)
            case Identifier():
                self._at = first
                return self._function(first.name, dot, command, args, final)
            case Pipe():
                self._refuse_arguments(first, args, final)
                return self._pipe(first, dot)
            case Variable():
                return self._variable(first, dot, args, final)
        self._at = first
        self._refuse_arguments(first, args, final)
        if isinstance(first, Nil):
            raise self.error("nil is not a command")
        return dot if isinstance(first, Dot) else self._constant(first)

    def _refuse_arguments(self, operand: Operand, args: tuple[Operand, ...], final: Value) -> None:
        if args or final is not _MISSING:
            raise self.error(f"can't give argument to non-function {operand}")

    def _constant(self, node: Bool | Number | String) -> Value:
        if not isinstance(node, Number):
            return node.value
        self._at = node
        if node.is_float_text:
            return node.floating
        if node.integer is None or node.integer > MAX_INT64:
            raise self.error(f"{node.text} overflows int")
        return node.integer

    # Fields, variables, functions.

    def _chain(self, node: Chain, dot: Value, args: tuple[Operand, ...], final: Value) -> Value:
        self._at = node
        if isinstance(node.operand, Nil):
            raise self.error(f"indirection through explicit nil in {node}")
        receiver = self._argument(node.operand, Type.VALUE, dot)
        return self._fields(dot, receiver, node, node.fields, args, final)

    def _variable(self, node: Variable, dot: Value, args: tuple[Operand, ...], final: Value) -> Value:
        self._at = node
        value = self._lookup(node.name)
        if not node.fields:
            self._refuse_arguments(node, args, final)
            return value
        return self._fields(dot, value, node, node.fields, args, final)

    def _fields(
        self,
        dot: Value,
        receiver: Value,
        node: Operand,
        names: tuple[str, ...],
        args: tuple[Operand, ...],
        final: Value,
    ) -> Value:
        for name in names[:-1]:
            receiver = self._field(dot, receiver, node, name, (), _MISSING)
        return self._field(dot, receiver, node, names[-1], args, final)

    def _field(
        self, dot: Value, receiver: Value, node: Operand, name: str, args: tuple[Operand, ...], final: Value
    ) -> Value:
        if receiver is None:
            return None
        inner = unbox(receiver)
        if inner is None:
            raise self.error(f"nil pointer evaluating {type_name(receiver)}.{name}")
        method = METHODS.get(type(inner), {}).get(name)
        if method is not None:
            return self._call(name, method, node, dot, args, final, (inner,))
        if not isinstance(inner, dict | Labels):
            raise self.error(f"can't evaluate field {name} in type {type_name(receiver)}")
        if args or final is not _MISSING:
            raise self.error(f"{name} is not a method but has arguments")
        if isinstance(inner, Labels):
            return inner.get(name)
        return Boxed(inner.get(encode_utf8(name)))

    def _function(
        self, name: str, dot: Value, node: Operand | Command, args: tuple[Operand, ...], final: Value
    ) -> Value:
        if name in _SHORT_CIRCUITS:
            return self._short_circuit(name, dot, args, final)
        function = FUNCTIONS.get(name)
        if function is None:
            function = BUILTINS[name]
        bound: tuple[Value, ...] = (self._context,) if function.needs_context else ()
        if name == "call":
            bound = (_callee(args, final),)
        return self._call(name, function, node, dot, args, final, bound)

    def _short_circuit(self, name: str, dot: Value, args: tuple[Operand, ...], final: Value) -> Value:
        if not args and final is _MISSING:
            raise self.error(f"wrong number of args for {name}: want at least 1 got 0")
        value: Value = None
        for arg in args:
            value = self._argument(arg, Type.VALUE, dot)
            if is_true(value) is (name == "or"):
                return value
        return value if final is _MISSING else final

    def _call(
        self,
        name: str,
        function: Function,
        node: Operand | Command,
        dot: Value,
        args: tuple[Operand, ...],
        final: Value,
        bound: tuple[Value, ...],
    ) -> Value:
        given = len(args) + (final is not _MISSING)
        self._check_count(name, function, given, len(args))
        values = [self._argument(arg, function.type_of(index), dot) for index, arg in enumerate(args)]
        if final is not _MISSING:
            values.append(self._checked(final, function.type_of(len(args))))
        size = sum(len(value) for value in values if type(value) is bytes)
        self._budget.work(size * function.weight)
        try:
            result = function.call(*bound, *values)
        except CallError as error:
            self._at = node
            raise self.error(f"error calling {name}: {error}") from None
        if type(result) is bytes:
            self._budget.work(len(result))
        return result

    def _check_count(self, name: str, function: Function, given: int, written: int) -> None:
        wanted = len(function.params)
        if function.variadic:
            if given < wanted - 1:
                raise self.error(f"wrong number of args for {name}: want at least {wanted - 1} got {written}")
        elif given != wanted:
            raise self.error(f"wrong number of args for {name}: want {wanted} got {given}")

    # Arguments.

    def _argument(self, node: Operand, wanted: Type, dot: Value) -> Value:
        self._budget.step()
        self._at = node
        match node:
            case Dot():
                value = dot
            case FieldPath():
                value = self._fields(dot, dot, node, node.fields, (), _MISSING)
            case Variable():
                value = self._variable(node, dot, (), _MISSING)
            case Pipe():
                value = self._pipe(node, dot)
            case Identifier():
                value = self._function(node.name, dot, node, (), _MISSING)
            case Chain():
                value = self._chain(node, dot, (), _MISSING)
            case Nil():
                if wanted not in (Type.ANY, Type.VALUE, Type.LOCATION):
                    raise self.error(f"cannot assign nil to {wanted.value}")
                return None
            case _:
                return self._literal(node, wanted)
        return self._checked(value, wanted)

    def _literal(self, node: Bool | Number | String, wanted: Type) -> Value:
        match wanted:
            case Type.ANY | Type.VALUE:
                return self._constant(node)
            case Type.STRING:
                if isinstance(node, String):
                    return node.value
                raise self.error(f"expected string; found {node}")
            case Type.INT | Type.DURATION:
                if isinstance(node, Number) and node.integer is not None and node.integer <= MAX_INT64:
                    return PYTHON_TYPES[wanted](node.integer)
                raise self.error(f"expected integer; found {node}")
            case Type.FLOAT:
                if isinstance(node, Number):
                    return node.floating
                raise self.error(f"expected float; found {node}")
            case _:
                raise self.error(f"can't handle {node} for arg of type {wanted.value}")

    def _checked(self, value: Value, wanted: Type) -> Value:
        if wanted is Type.VALUE:
            return value
        if wanted is Type.ANY:
            return unbox(value)
        if value is None:
            if wanted is Type.LOCATION:
                return None
            raise self.error(f"invalid value; expected {wanted.value}")
        inner = value.value if type(value) is Boxed and value.value is not None else value
        if type(inner) is not PYTHON_TYPES[wanted]:
            raise self.error(f"wrong type for value; expected {wanted.value}; got {type_name(inner)}")
        return inner


def _callee(args: tuple[Operand, ...], final: Value) -> str:
    """What `call` says it was asked to call."""
    if args or final is _MISSING:
        return str(args[0]) if args else ""
    return decode_utf8(final) if isinstance(final, bytes) else f"<{type_name(final)} Value>"
