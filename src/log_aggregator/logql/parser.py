"""A recursive-descent parser of LogQL. The grammar and the messages are Loki's."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeVar

from log_aggregator.logql import ast
from log_aggregator.logql.ast import Expr, LabelFilter, LogExpr, Matcher, MetricExpr, Stage
from log_aggregator.logql.checks import (
    binary_operation,
    check_depth,
    check_literals,
    check_pattern_stage,
    check_regexp_stage,
    check_selectors,
    label_replace,
    literal_value,
    matcher,
    range_aggregation,
    vector_aggregation,
)
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.lexer import (
    BYTES,
    DURATION,
    END,
    FLAG,
    IDENTIFIER,
    INVALID,
    NUMBER,
    RANGE,
    RANGE_OPERATIONS,
    STRING,
    VECTOR_OPERATIONS,
    Lexer,
    Token,
)
from log_aggregator.logql.precedence import PRECEDENCE, operand_precedences
from log_aggregator.logql.printer import expr_text, is_plain_name
from log_aggregator.logql.stage_checks import check_stages

MAX_QUERY_BYTES = 131_072
# Deeper than any query that a person or a dashboard writes, and far from Python's own limit.
MAX_NESTING = 100
# Of one pipeline, and the operands of one line filter: the time of columnar filters grows with the square of their
# number.
MAX_STAGES = 250

_MATCH_OPS = ("=", "=~", "!~", "!=")
_LINE_OPS = ("|~", "|=", "|>", "!~", "!=", "!>")
_COMPARE_OPS = {">": ">", ">=": ">=", "<": "<", "<=": "<=", "!=": "!=", "=": "=", "==": "="}
_CONVERSIONS = ("@bytes", "@duration", "@duration_seconds")
# In characters: the tree of a hostile query takes many times the size of its text.
_LONGEST_REMEMBERED = 1024
# What takes the place of an expression without meaning while the rest of the text is read.
_STAND_IN = ast.VectorLiteral(0.0)

Item = TypeVar("Item")


def parse_expr(text: str) -> Expr:
    """A log or metric query that can be run. Raises ParseError."""
    return _parse_again(text) if len(text) <= _LONGEST_REMEMBERED else _parse_again.__wrapped__(text)


@lru_cache(maxsize=128)
def _parse_again(text: str) -> Expr:
    """Dashboards ask the same over and over, and each query is asked for by its log, too."""
    expr = parse_text(text)
    check_literals(expr)
    for leaf in leaves_of(expr):
        log = leaf if isinstance(leaf, LogExpr) else leaf.range.log
        if not (text.isascii() and all(is_plain_name(one.name) for one in log.matchers)):
            # Loki hands selections on as text, where a matcher quotes the name of its label unless it is plain, which
            # is no syntax.
            _parse(expr_text(log))
    check_stages(expr)
    return expr


def parse_text(text: str) -> Expr:
    """A log or metric query of correct syntax, whose stages may still be such as cannot be built. Raises ParseError."""
    expr = _parse(text)
    check_selectors(expr)
    return expr


def parse_selector(text: str, *, allow_empty: bool = False) -> tuple[Matcher, ...]:
    """The matchers of a bare selector. `allow_empty` also takes selectors that could match every stream.

    Raises ParseError, NotASelector.
    """
    expr = _parse(text) if allow_empty else parse_expr(text)
    if not isinstance(expr, LogExpr) or expr.stages:
        raise NotASelector
    return expr.matchers


class NotASelector(ParseError):
    """An expression where only a stream selector makes sense."""

    def __init__(self) -> None:
        super().__init__("")
        self.args = ("only label matchers are supported",)


def _parse(text: str) -> Expr:
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes >= MAX_QUERY_BYTES:
        raise ParseError(f"input size too long ({size_bytes} > {MAX_QUERY_BYTES})")
    return _Parser(Lexer(text)).whole()


class _Parser:
    def __init__(self, lexer: Lexer) -> None:
        self._lexer = lexer
        self._tokens = [lexer.next()]
        self._index = 0
        self._depth = 0
        self._problems: list[tuple[int, int, ParseError]] = []

    def whole(self) -> Expr:
        """The one expression that the text is."""
        expr = self.expr(1)
        self.expect(END)
        if self._lexer.problem:
            raise self._lexer.problem
        if self._problems:
            raise min(self._problems, key=lambda problem: problem[:2])[2]
        check_depth(expr)
        return expr

    # Tokens

    @property
    def _token(self) -> Token:
        token = self._tokens[self._index]
        if token.kind == INVALID:
            raise self._lexer.problem or token.value
        return token

    def _peek(self, ahead: int = 1) -> str:
        while len(self._tokens) <= self._index + ahead and self._tokens[-1].kind not in (INVALID, END):
            self._tokens.append(self._lexer.next())
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)].kind

    def _advance(self) -> Token:
        token = self._token
        self._peek()
        self._index += 1
        return token

    def _accept(self, *kinds: str) -> Token | None:
        return self._advance() if self._token.kind in kinds else None

    def expect(self, kind: str, *named: str) -> Token:
        """The next token, which must be of the kind; `named` is what the message says was expected."""
        if self._token.kind != kind:
            raise self._unexpected(*named)
        return self._advance()

    def _unexpected(self, *expected: str) -> ParseError:
        if self._lexer.problem:
            return self._lexer.problem
        message = f"syntax error: unexpected {self._token.name}"
        if expected:
            message += ", expecting " + " or ".join(expected)
        return ParseError(message, self._token.line, self._token.column)

    def _nested(self, parse: Callable[[], Item]) -> Item:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise ParseError(f"expression nests deeper than {MAX_NESTING} levels", self._token.line, self._token.column)
        item = parse()
        self._depth -= 1
        return item

    def _list(self, item: Callable[[], Item]) -> tuple[Item, ...]:
        items = [item()]
        while self._accept(","):
            items.append(item())
        return tuple(items)

    def _checked(self, start: int, build: Callable[[], MetricExpr]) -> MetricExpr:
        """What `build` gives. Where that has no meaning, the rest is still read: its syntax may be wrong too, and then
        that is what is said. Of several meaningless expressions the outermost is, then the leftmost.
        """
        try:
            return build()
        except ParseError as error:
            self._problems.append((start, -self._index, error))
            return _STAND_IN

    # Expressions

    def expr(self, lowest: int) -> Expr:
        """Binary operations by precedence."""
        start = self._index
        left = self._nested(self._operand)
        while PRECEDENCE.get(self._token.kind, 0) >= lowest:
            operator = self._advance().kind
            return_bool, matching = self._modifiers()
            _, right_lowest = operand_precedences(operator)
            right = self._nested(lambda lowest=right_lowest: self.expr(lowest))  # type: ignore[misc]
            left = self._checked(start, partial(binary_operation, operator, left, right, matching, return_bool))
        return left

    def _operand(self) -> Expr:
        kind = self._token.kind
        if kind == "{":
            return self._log_expr()
        if kind == "(":
            self._advance()
            inner = self.expr(1)
            self.expect(")")
            return inner
        if kind in (NUMBER, "+", "-"):
            start, sign, text = self._index, *self._signed_number()
            return self._checked(start, lambda: ast.NumberLiteral(sign * literal_value(text)))
        if kind == "@vector":
            return self._vector_literal()
        if kind == "@label_replace":
            return self._label_replace()
        if kind[1:] in RANGE_OPERATIONS and kind[0] == "@":
            return self._range_aggregation()
        if kind[1:] in VECTOR_OPERATIONS and kind[0] == "@":
            return self._vector_aggregation()
        raise self._unexpected()

    def _signed_number(self) -> tuple[int, str]:
        sign = self._accept("+", "-")
        return (-1 if sign and sign.kind == "-" else 1), self.expect(NUMBER, "NUMBER").text

    def _vector_literal(self) -> MetricExpr:
        start = self._index
        self._advance()
        self.expect("(", "(")
        text = self.expect(NUMBER, "NUMBER").text
        self.expect(")", ")")
        return self._checked(start, lambda: ast.VectorLiteral(literal_value(text, "vectorExpr")))

    def _label_replace(self) -> MetricExpr:
        start = self._index
        self._advance()
        self.expect("(", "(")
        inner = self._metric_expr()
        texts = []
        for number in range(4):
            self.expect(",", *([","] if number else []))
            texts.append(str(self.expect(STRING, STRING).value))
        self.expect(")", ")")
        return self._checked(start, lambda: label_replace(inner, *texts))

    def _metric_expr(self) -> MetricExpr:
        expr = self.expr(1)
        if isinstance(expr, LogExpr):
            raise self._unexpected()
        return expr

    def _modifiers(self) -> tuple[bool, ast.VectorMatching]:
        return_bool = self._accept("bool") is not None
        token = self._accept("on", "ignoring")
        if token is None:
            return return_bool, ast.VectorMatching()
        labels = self._label_names()
        side = self._accept("group_left", "group_right")
        if side is None:
            return return_bool, ast.VectorMatching(labels=labels, on=token.kind == "on")
        include = self._label_names() if self._token.kind == "(" else ()
        cardinality = "many-to-one" if side.kind == "group_left" else "one-to-many"
        return return_bool, ast.VectorMatching(cardinality, labels, token.kind == "on", include)  # type: ignore[arg-type]

    def _label_names(self) -> tuple[str, ...]:
        self.expect("(", "(")
        if self._accept(")"):
            return ()
        names = [self.expect(IDENTIFIER, IDENTIFIER, ")").text]
        while not self._accept(")"):
            self.expect(",", ",", ")")
            names.append(self.expect(IDENTIFIER, IDENTIFIER).text)
        return tuple(names)

    def _grouping(self) -> ast.Grouping | None:
        token = self._accept("by", "without")
        return ast.Grouping(self._label_names(), token.kind == "without") if token else None

    def _vector_aggregation(self) -> MetricExpr:
        start = self._index
        operation = self._advance().kind[1:]
        grouping = self._grouping()
        self.expect("(", "(", *(() if grouping else ("by", "without")))
        parameter = None
        if self._token.kind == NUMBER and self._peek() == ",":
            parameter = self._advance().text
            self._advance()
        inner = self._metric_expr()
        self.expect(")")
        if grouping is None:
            grouping = self._grouping()
        return self._checked(start, partial(vector_aggregation, operation, inner, parameter, grouping))

    def _range_aggregation(self) -> MetricExpr:
        start = self._index
        operation = self._advance().kind[1:]
        self.expect("(", "(")
        if self._token.kind not in (NUMBER, "{", "("):
            raise self._unexpected(NUMBER, "{", "(")
        parameter = None
        if self._token.kind == NUMBER:
            parameter = self._advance().text
            self.expect(",", ",")
        log_range = self._log_range()
        self.expect(")", ")")
        grouping = self._grouping()
        return self._checked(start, partial(range_aggregation, operation, log_range, parameter, grouping))

    # Ranges

    def _log_range(self) -> ast.LogRange:
        """A range may stand before or behind the pipeline, and parentheses around the selector or around all."""
        if self._accept("("):
            inner = self._nested(self._log_range_or_log)
            if isinstance(inner, ast.LogRange):
                self.expect(")", ")")
                return inner
            log, unwrap = inner
            self.expect(")", *((RANGE, ")", "|") if unwrap else ()))
            range_ns, offset_ns = self._range_and_offset()
            if unwrap is None:
                unwrap = self._unwrap_behind_range()
            return ast.LogRange(log, range_ns, unwrap, offset_ns)
        found = self._log_range_or_log()
        if isinstance(found, ast.LogRange):
            return found
        raise self._unexpected(*((RANGE, "|") if found[1] else ()))

    def _log_range_or_log(self) -> "ast.LogRange | tuple[LogExpr, ast.Unwrap | None]":
        if self._token.kind == "(":
            return self._log_range()
        if self._token.kind != "{":
            raise self._unexpected("{", "(")
        matchers = self._selector()
        if self._token.kind == RANGE:
            range_ns, offset_ns = self._range_and_offset()
            stages, unwrap = self._pipeline(with_unwrap=True)
            return ast.LogRange(LogExpr(matchers, stages), range_ns, unwrap, offset_ns)
        stages, unwrap = self._pipeline(with_unwrap=True)
        if self._token.kind == RANGE:
            range_ns, offset_ns = self._range_and_offset()
            return ast.LogRange(LogExpr(matchers, stages), range_ns, unwrap, offset_ns)
        return LogExpr(matchers, stages), unwrap

    def _range_and_offset(self) -> tuple[int, int]:
        range_ns = int(self.expect(RANGE, RANGE).value)
        if self._accept("offset"):
            return range_ns, int(self.expect(DURATION, DURATION).value)
        return range_ns, 0

    def _unwrap_behind_range(self) -> ast.Unwrap | None:
        return self._unwrap() if self._token.kind == "|" and self._peek() == "unwrap" else None

    def _unwrap(self) -> ast.Unwrap:
        self._advance()
        self._advance()
        conversion = self._accept(*_CONVERSIONS)
        if conversion:
            self.expect("(", "(")
            label = self.expect(IDENTIFIER, IDENTIFIER).text
            self.expect(")", ")")
        else:
            label = self.expect(IDENTIFIER, IDENTIFIER, "BYTES_CONV", "DURATION_CONV", "DURATION_SECONDS_CONV").text
        filters = []
        while self._accept("|"):
            if self._token.kind not in (IDENTIFIER, "("):
                raise self._unexpected(IDENTIFIER, "(")
            filters.append(self._label_filter(0))
        name = conversion.kind[1:] if conversion else ""
        return ast.Unwrap(label, name, tuple(filters))  # type: ignore[arg-type]

    # Selectors and pipelines

    def _log_expr(self) -> LogExpr:
        matchers = self._selector()
        stages, _ = self._pipeline(with_unwrap=False)
        return LogExpr(matchers, stages)

    def _selector(self) -> tuple[Matcher, ...]:
        self.expect("{")
        if self._accept("}"):
            return ()
        if self._token.kind != IDENTIFIER:
            raise self._unexpected(IDENTIFIER, "}")
        matchers = [self._matcher()]
        while not self._accept("}"):
            self.expect(",", "}", ",")
            matchers.append(self._matcher())
        return tuple(matchers)

    def _matcher(self) -> Matcher:
        name = self.expect(IDENTIFIER, IDENTIFIER).text
        if self._token.kind not in _MATCH_OPS:
            raise self._unexpected(*_MATCH_OPS)
        op = self._advance().kind
        return matcher(name, op, str(self.expect(STRING, STRING).value))

    def _pipeline(self, *, with_unwrap: bool) -> tuple[tuple[Stage, ...], ast.Unwrap | None]:
        stages: list[Stage] = []
        while True:
            if self._token.kind in _LINE_OPS:
                stages += self._line_filter()
            elif self._token.kind != "|":
                break
            elif with_unwrap and self._peek() == "unwrap":
                return tuple(stages), self._unwrap()
            else:
                self._advance()
                stages.append(self._stage())
            self._check_count(len(stages), "stages in a pipeline")
        return tuple(stages), None

    def _check_count(self, count: int, what: str) -> None:
        if count > MAX_STAGES:
            raise ParseError(f"more than {MAX_STAGES} {what}", self._token.line, self._token.column)

    def _line_filter(self) -> list[Stage]:
        """A negated filter of several operands excludes the lines that hold any: as many filters as operands."""
        op = self._advance().kind
        operands = [self._line_operand()]
        while self._accept("or"):
            operands.append(self._line_operand())
            self._check_count(len(operands), "operands of a line filter")
        groups = [(operand,) for operand in operands] if op[0] == "!" else [tuple(operands)]
        return [ast.LineFilterStage(op, group) for group in groups]  # type: ignore[arg-type]

    def _line_operand(self) -> ast.LineOperand:
        if self._accept("@ip"):
            self.expect("(", "(")
            text = str(self.expect(STRING, STRING).value)
            self.expect(")", ")")
            return ast.LineOperand(text, is_ip=True)
        return ast.LineOperand(str(self.expect(STRING, STRING, "ip").value))

    def _stage(self) -> Stage:
        parse = {
            "json": self._json,
            "logfmt": self._logfmt,
            "regexp": self._regexp,
            "pattern": self._pattern,
            "unpack": self._unpack,
            "line_format": self._line_format,
            "label_format": self._label_format,
            "decolorize": self._decolorize,
            "drop": self._drop,
            "keep": self._keep,
        }.get(self._token.kind)
        if parse is not None:
            self._advance()
            return parse()
        if self._token.kind not in (IDENTIFIER, "("):
            raise self._unexpected()
        return ast.LabelFilterStage(self._label_filter(0))

    def _json(self) -> Stage:
        return ast.JsonStage(self._extractions())

    def _logfmt(self) -> Stage:
        flags = set()
        while token := self._accept(FLAG):
            flags.add(token.text)
        return ast.LogfmtStage(self._extractions(), "--strict" in flags, "--keep-empty" in flags)

    def _extractions(self) -> tuple[ast.Extraction, ...]:
        return self._list(self._extraction) if self._token.kind == IDENTIFIER else ()

    def _extraction(self) -> ast.Extraction:
        label = self.expect(IDENTIFIER, IDENTIFIER).text
        if self._accept("="):
            return ast.Extraction(label, str(self.expect(STRING, STRING).value))
        return ast.Extraction(label, label)

    def _regexp(self) -> Stage:
        return check_regexp_stage(ast.RegexpStage(str(self.expect(STRING, STRING).value)))

    def _pattern(self) -> Stage:
        return check_pattern_stage(ast.PatternStage(str(self.expect(STRING, STRING).value)))

    def _unpack(self) -> Stage:
        return ast.UnpackStage()

    def _decolorize(self) -> Stage:
        return ast.DecolorizeStage()

    def _line_format(self) -> Stage:
        return ast.LineFormatStage(str(self.expect(STRING, STRING).value))

    def _label_format(self) -> Stage:
        return ast.LabelFormatStage(self._list(self._assignment))

    def _assignment(self) -> ast.LabelAssignment:
        name = self.expect(IDENTIFIER, IDENTIFIER).text
        self.expect("=", "=")
        source = self._accept(IDENTIFIER, STRING)
        if source is None:
            raise self._unexpected(IDENTIFIER, STRING)
        if source.kind == IDENTIFIER:
            return ast.LabelAssignment(name, source.text, is_rename=True)
        return ast.LabelAssignment(name, str(source.value), is_rename=False)

    def _drop(self) -> Stage:
        return ast.DropStage(self._list(self._named))

    def _keep(self) -> Stage:
        return ast.KeepStage(self._list(self._named))

    def _named(self) -> str | Matcher:
        if self._token.kind == IDENTIFIER and self._peek() in _MATCH_OPS:
            return self._matcher()
        return self.expect(IDENTIFIER, IDENTIFIER).text

    # Label filters

    def _label_filter(self, lowest: int) -> LabelFilter:
        """`and` binds tighter than `or`; a comma or nothing at all takes everything to its right as one group."""
        left = self._nested(self._label_filter_operand)
        while True:
            kind = self._token.kind
            if kind == "or" and lowest <= 1:
                self._advance()
                left = ast.OrFilter(left, self._further_filter(2))
            elif kind == "and" and lowest <= 2:
                self._advance()
                left = ast.AndFilter(left, self._further_filter(3))
            elif kind == ",":
                self._advance()
                left = ast.AndFilter(left, self._further_filter(0))
            elif kind in (IDENTIFIER, "("):
                left = ast.AndFilter(left, self._further_filter(0))
            else:
                return left

    def _further_filter(self, lowest: int) -> LabelFilter:
        if self._token.kind not in (IDENTIFIER, "("):
            raise self._unexpected(IDENTIFIER, "(")
        return self._nested(lambda: self._label_filter(lowest))

    def _label_filter_operand(self) -> LabelFilter:
        if self._accept("("):
            inner = self._label_filter(0)
            self.expect(")")
            return inner
        name = self.expect(IDENTIFIER, IDENTIFIER, "(").text
        token = self._token
        if token.kind in ("=~", "!~"):
            self._advance()
            return ast.StringFilter(matcher(name, token.kind, str(self.expect(STRING, STRING).value)))
        if token.kind not in _COMPARE_OPS:
            raise self._unexpected()
        self._advance()
        return self._comparison(name, token.kind)

    def _comparison(self, name: str, written: str) -> LabelFilter:
        op = _COMPARE_OPS[written]
        token = self._token
        if token.kind == STRING and written in ("=", "!="):
            self._advance()
            return ast.StringFilter(matcher(name, op, str(token.value)))
        if token.kind == "@ip" and written in ("=", "!="):
            self._advance()
            self.expect("(", "(")
            pattern = str(self.expect(STRING, STRING).value)
            self.expect(")", ")")
            return ast.IpFilter(name, op, pattern)  # type: ignore[arg-type]
        if token.kind == DURATION:
            self._advance()
            return ast.DurationFilter(name, op, int(token.value))  # type: ignore[arg-type]
        if token.kind == BYTES:
            self._advance()
            return ast.BytesFilter(name, op, int(token.value))  # type: ignore[arg-type]
        if token.kind in (NUMBER, "+", "-"):
            sign, text = self._signed_number()
            return ast.NumberFilter(name, op, sign * literal_value(text))  # type: ignore[arg-type]
        raise self._unexpected()
