"""Tokens to a syntax tree. Messages are those of Go's text/template."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from log_aggregator.logql.template.errors import TemplateError
from log_aggregator.logql.template.lexer import Kind, Token, tokenize
from log_aggregator.logql.template.limits import MAX_NESTING
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
from log_aggregator.logql.template.strconv import (
    MIN_INT64,
    decode_utf8,
    encode_utf8,
    parse_float,
    parse_int,
    quote_text,
    unquote,
    unquote_rune,
)

MAX_UINT64 = (1 << 64) - 1

_OPERAND_KINDS = frozenset(
    {
        Kind.BOOL,
        Kind.CHAR_CONSTANT,
        Kind.COMPLEX,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.LEFT_PAREN,
    }
)


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed text: the bodies of its templates by name, its own among them."""

    name: str
    text: str
    bodies: Mapping[str, tuple[Node, ...]]


@dataclass(slots=True)
class _Scope:
    """What a template body may refer to; a definition inside another starts with a new one."""

    variables: list[str]
    ranges: int = 0
    action: Token | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """The `{{end}}` or `{{else}}` that closed a list."""

    is_else: bool

    def __str__(self) -> str:
        return "{{else}}" if self.is_else else "{{end}}"


def parse(name: str, text: str, has_function: Callable[[str], bool]) -> Tree:
    """Parse a template; raises TemplateError."""
    return _Parser(name, text, has_function).tree()


class _Parser:
    def __init__(self, name: str, text: str, has_function: Callable[[str], bool]) -> None:
        self._name = name
        self._text = text
        self._has_function = has_function
        self._tokens = tokenize(text)
        self._pushed: list[Token] = []
        self._last = Token(Kind.EOF, "EOF", 0)
        self._scope = _Scope(["$"])
        self._bodies: dict[str, tuple[Node, ...]] = {}
        self._depth = 0

    # Tokens.

    def _next(self) -> Token:
        if self._pushed:
            return self._pushed.pop()
        self._last = next(self._tokens, self._last)
        return self._last

    def _back(self, *tokens: Token) -> None:
        self._pushed.extend(tokens)

    def _next_non_space(self) -> Token:
        while (token := self._next()).kind is Kind.SPACE:
            pass
        return token

    def _peek(self) -> Token:
        token = self._next()
        self._back(token)
        return token

    def _peek_non_space(self) -> Token:
        token = self._next_non_space()
        self._back(token)
        return token

    def _expect(self, context: str, *kinds: Kind) -> Token:
        token = self._next_non_space()
        if token.kind not in kinds:
            raise self._unexpected(token, context)
        return token

    # Errors.

    def _line(self, token: Token) -> int:
        return 1 + self._text.count("\n", 0, token.start)

    def _error(self, message: str) -> TemplateError:
        return TemplateError(f"template: {self._name}:{self._line(self._last)}: {message}")

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind is not Kind.ERROR:
            return self._error(f"unexpected {token} in {context}")
        action = self._scope.action
        if action is None or self._line(action) == self._line(token):
            return self._error(token.text)
        where = "" if token.text.endswith(" action") else " in action"
        return self._error(f"{token.text}{where} started at {self._name}:{self._line(action)}")

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._error("max expression depth exceeded")
        yield
        self._depth -= 1

    # Bodies.

    def tree(self) -> Tree:
        nodes: list[Node] = []
        while (token := self._peek()).kind is not Kind.EOF:
            if token.kind is Kind.LEFT:
                self._next()
                keyword = self._next_non_space()
                if keyword.kind is Kind.DEFINE:
                    self._definition()
                    continue
                self._back(keyword, token)
            node = self._text_or_action()
            if isinstance(node, _End):
                raise self._error(f"unexpected {node}")
            nodes.append(node)
        self._add(self._name, tuple(nodes))
        return Tree(self._name, self._text, self._bodies)

    def _add(self, name: str, body: tuple[Node, ...]) -> None:
        if _is_empty(self._bodies.get(name, ())):
            self._bodies[name] = body
        elif not _is_empty(body):
            raise self._error(f"template: multiple definition of template {quote_text(name)}")

    def _definition(self) -> None:
        context = "define clause"
        outer, self._scope = self._scope, _Scope(["$"])
        _, name = self._template_name(context)
        self._expect(context, Kind.RIGHT)
        self._body(name, context)
        self._scope = outer

    def _body(self, name: str, context: str) -> None:
        body, end = self._list()
        if end.is_else:
            raise self._error(f"unexpected {end} in {context}")
        self._add(name, body)

    def _list(self) -> tuple[tuple[Node, ...], _End]:
        nodes: list[Node] = []
        with self._nested():
            while self._peek_non_space().kind is not Kind.EOF:
                node = self._text_or_action()
                if isinstance(node, _End):
                    return tuple(nodes), node
                nodes.append(node)
            raise self._error("unexpected EOF")

    def _text_or_action(self) -> Node | _End:
        token = self._next_non_space()
        if token.kind is Kind.TEXT:
            return Text(encode_utf8(token.text))
        if token.kind is not Kind.LEFT:
            raise self._unexpected(token, "input")
        self._scope.action = token
        node = self._action()
        self._scope.action = None
        return node

    def _action(self) -> Node | _End:
        token = self._next_non_space()
        match token.kind:
            case Kind.BLOCK:
                return self._block()
            case Kind.BREAK:
                return self._leave_range(Break(), "{{break}}")
            case Kind.CONTINUE:
                return self._leave_range(Continue(), "{{continue}}")
            case Kind.ELSE:
                return self._else()
            case Kind.END:
                self._expect("end", Kind.RIGHT)
                return _End(is_else=False)
            case Kind.IF:
                return If(*self._branches(Kind.IF))
            case Kind.RANGE:
                return self._range()
            case Kind.TEMPLATE:
                return self._template_call()
            case Kind.WITH:
                return With(*self._branches(Kind.WITH))
        self._back(token)
        return Action(token.start, self._pipeline("command", Kind.RIGHT))

    def _leave_range(self, node: Node, context: str) -> Node:
        self._expect(context, Kind.RIGHT)
        if not self._scope.ranges:
            raise self._error(f"{context} outside {{{{range}}}}")
        return node

    def _else(self) -> _End:
        # The "if" of "else if" is left for the caller, which treats it as an action of its own.
        if self._peek_non_space().kind not in (Kind.IF, Kind.WITH):
            self._expect("else", Kind.RIGHT)
        return _End(is_else=True)

    def _branches(self, keyword: Kind) -> tuple[tuple[tuple[Pipe, tuple[Node, ...]], ...], tuple[Node, ...]]:
        """An `if` or `with` with all its `else if` or `else with`, and what is after the last `else`."""
        visible = len(self._scope.variables)
        branches = []
        while True:
            pipe = self._pipeline(str(keyword.value), Kind.RIGHT)
            body, end = self._list()
            branches.append((pipe, body))
            if not end.is_else or self._peek().kind is not keyword:
                break
            self._next()
        orelse = self._else_body(end)
        del self._scope.variables[visible:]
        return tuple(branches), orelse

    def _range(self) -> Range:
        visible = len(self._scope.variables)
        pipe = self._pipeline("range", Kind.RIGHT)
        self._scope.ranges += 1
        body, end = self._list()
        self._scope.ranges -= 1
        orelse = self._else_body(end)
        del self._scope.variables[visible:]
        return Range(pipe, body, orelse)

    def _else_body(self, end: _End) -> tuple[Node, ...]:
        if not end.is_else:
            return ()
        body, end = self._list()
        if end.is_else:
            raise self._error(f"expected end; found {end}")
        return body

    def _block(self) -> Node:
        context = "block clause"
        start, name = self._template_name(context)
        pipe = self._pipeline(context, Kind.RIGHT)
        outer, self._scope = self._scope, _Scope(["$"])
        self._body(name, context)
        self._scope = outer
        return TemplateCall(start, name, pipe)

    def _template_call(self) -> Node:
        context = "template clause"
        start, name = self._template_name(context)
        following = self._next_non_space()
        if following.kind is Kind.RIGHT:
            return TemplateCall(start, name, None)
        self._back(following)
        return TemplateCall(start, name, self._pipeline(context, Kind.RIGHT))

    def _template_name(self, context: str) -> tuple[int, str]:
        """Where it stands, and the name."""
        token = self._expect(context, Kind.STRING, Kind.RAW_STRING)
        return token.start, decode_utf8(self._string(token))

    # Pipelines.

    def _pipeline(self, context: str, end: Kind) -> Pipe:
        start = self._peek_non_space().start
        names, assigns = self._declarations(context)
        commands: list[Command] = []
        while (token := self._next_non_space()).kind is not end:
            if token.kind not in _OPERAND_KINDS:
                raise self._unexpected(token, context)
            self._back(token)
            commands.append(self._command())
        if not commands:
            raise self._error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.args[0], Bool | Dot | Nil | Number | String):
                raise self._error(f"non executable command in pipeline stage {stage}")
        return Pipe(start, names, assigns, tuple(commands))

    def _declarations(self, context: str) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        while (variable := self._peek_non_space()).kind is Kind.VARIABLE:
            self._next_non_space()
            after = self._next()
            following = self._next_non_space() if after.kind is Kind.SPACE else after
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                self._declare(names, variable.text)
                return tuple(names), following.kind is Kind.ASSIGN
            if following.kind is not Kind.CHAR or following.text != ",":
                if following is not after:
                    self._back(following)
                self._back(after, variable)
                break
            self._declare(names, variable.text)
            if context != "range" or len(names) > 1:
                raise self._error(f"too many declarations in {context}")
            if self._peek_non_space().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.RIGHT_PAREN):
                raise self._error("range can only initialize variables")
        return tuple(names), False

    def _declare(self, names: list[str], name: str) -> None:
        names.append(name)
        self._scope.variables.append(name)

    def _command(self) -> Command:
        start = self._peek_non_space().start
        args: list[Operand] = []
        while True:
            self._peek_non_space()
            operand = self._operand()
            if operand is not None:
                args.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.RIGHT_PAREN):
                self._back(token)
            elif token.kind is not Kind.PIPE:
                raise self._unexpected(token, "operand")
            break
        if not args:
            raise self._error("empty command")
        return Command(start, tuple(args))

    def _operand(self) -> Operand | None:
        node = self._term()
        if node is None or self._peek().kind is not Kind.FIELD:
            return node
        start = self._peek().start
        fields: list[str] = []
        while self._peek().kind is Kind.FIELD:
            fields.append(self._next().text[1:])
        match node:
            case FieldPath():
                return FieldPath(start, (*node.fields, *fields))
            case Variable():
                return Variable(start, node.name, (*node.fields, *fields))
            case Bool() | String() | Number() | Nil() | Dot():
                raise self._error(f"unexpected . after term {quote_text(str(node))}")
            case _:
                return Chain(start, node, tuple(fields))

    def _term(self) -> Operand | None:
        token = self._next_non_space()
        match token.kind:
            case Kind.IDENTIFIER:
                if not self._has_function(token.text):
                    raise self._error(f"function {quote_text(token.text)} not defined")
                return Identifier(token.start, token.text)
            case Kind.DOT:
                return Dot(token.start)
            case Kind.NIL:
                return Nil(token.start)
            case Kind.VARIABLE:
                return self._variable(token)
            case Kind.FIELD:
                return FieldPath(token.start, (token.text[1:],))
            case Kind.BOOL:
                return Bool(token.start, token.text == "true")
            case Kind.CHAR_CONSTANT | Kind.COMPLEX | Kind.NUMBER:
                return self._number(token)
            case Kind.LEFT_PAREN:
                with self._nested():
                    return self._pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
            case Kind.STRING | Kind.RAW_STRING:
                return String(token.start, token.text, self._string(token))
        self._back(token)
        return None

    def _variable(self, token: Token) -> Variable:
        if token.text not in self._scope.variables:
            raise self._error(f"undefined variable {quote_text(token.text)}")
        return Variable(token.start, token.text, ())

    def _string(self, token: Token) -> bytes:
        value = unquote(token.text)
        if value is None:
            raise self._error("invalid syntax")
        return value

    def _number(self, token: Token) -> Number:
        text = token.text
        if token.kind is Kind.CHAR_CONSTANT:
            return self._char(token)
        if text.endswith("i"):
            raise self._error(f"complex numbers are not supported: {quote_text(text)}")
        integer = parse_int(text)
        if integer is not None and MIN_INT64 <= integer <= MAX_UINT64:
            return Number(token.start, text, integer, float(integer), is_float_text=False)
        floating = parse_float(text)
        if floating is None or floating in (float("inf"), float("-inf")):
            raise self._error(f"illegal number syntax: {quote_text(text)}")
        if not any(mark in text for mark in ".eEpP"):
            raise self._error(f"integer overflow: {quote_text(text)}")
        exact = int(floating) if floating.is_integer() and abs(floating) < 2.0**63 else None
        return Number(token.start, text, exact, floating, is_float_text=True)

    def _char(self, token: Token) -> Number:
        found = unquote_rune(token.text)
        if found is None:
            raise self._error("invalid syntax")
        code, end = found
        if end != len(token.text) - 1:
            raise self._error(f"malformed character constant: {token.text}")
        return Number(token.start, token.text, code, float(code), is_float_text=False)


def _is_empty(body: tuple[Node, ...]) -> bool:
    """Whether a body is nothing but space; such a definition does not replace another."""
    return all(isinstance(node, Text) and not node.value.decode("utf-8", "replace").strip() for node in body)
