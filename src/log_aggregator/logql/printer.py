"""LogQL as text: on one line as Loki's messages quote it, and laid out as its /format_query does.

Where Loki's layout of a long query means something else than the query, ours does not: it keeps the operands of `or`
between line filters, empty groupings, empty lists of labels to match on, and parentheses without which operators would
bind otherwise.
"""

from itertools import groupby
from typing import assert_never

from log_aggregator.logql import ast
from log_aggregator.logql.ast import Expr, LabelFilter, LogExpr, LogRange, Matcher, Stage
from log_aggregator.logql.loose_regex import value_expression
from log_aggregator.logql.precedence import PRECEDENCE, operand_precedences
from log_aggregator.logql.template.strconv import format_float
from log_aggregator.logql.template.strconv import quote_text as quote
from log_aggregator.logql.units import format_bytes, format_prometheus_duration
from log_aggregator.model.quantity import format_duration

_MAX_LINE = 100
_INDENT = "  "
_DAYS = frozenset("dwy")


def format_expr(expr: Expr) -> str:
    """The layout of /format_query: what is longer than a hundred characters is split and indented."""
    return _pretty(expr, 0)


def expr_text(expr: Expr) -> str:
    """On one line."""
    match expr:
        case LogExpr():
            return " ".join([selector_text(expr.matchers), *map(stage_text, expr.stages)])
        case ast.RangeAggregation():
            parameter = "" if expr.parameter is None else f"{format_float(expr.parameter, 'f', -1)},"
            return f"{expr.operation}({parameter}{_range_text(expr.range)}){_grouping_text(expr.grouping)}"
        case ast.VectorAggregation():
            parameter = f"{expr.parameter}," if expr.parameter else ""
            return f"{expr.operation}{_vector_grouping_text(expr.grouping)}({parameter}{expr_text(expr.expr)})"
        case ast.BinaryOperation():
            return f"({expr_text(expr.left)} {_operator_text(expr)} {expr_text(expr.right)})"
        case ast.NumberLiteral():
            return format_float(expr.value + 0.0, "g", -1)  # never -0, which is read as a duration
        case ast.VectorLiteral():
            return f"vector({expr.value:f})"
        case ast.LabelReplace():
            quoted = ",".join(map(quote, (expr.destination, expr.replacement, expr.source, expr.pattern)))
            return f"label_replace({expr_text(expr.expr)},{quoted})"
        case _:
            assert_never(expr)


def selector_text(matchers: tuple[Matcher, ...]) -> str:
    return "{" + ", ".join(map(matcher_text, matchers)) + "}"


def matcher_text(matcher: Matcher) -> str:
    name = matcher.name if is_plain_name(matcher.name) else quote(matcher.name)
    return f"{name}{matcher.op}{quote(matcher.value)}"


def is_plain_name(name: str) -> bool:
    """Whether a label of this name needs no quotes in a matcher: it is an identifier in ASCII."""
    return name.isascii() and name.isidentifier()


def stage_text(stage: Stage) -> str:
    match stage:
        case ast.LineFilterStage():
            return f"{stage.op} " + " or ".join(map(_operand_text, stage.operands))
        case ast.JsonStage():
            return f"| json {_extractions_text(stage.extractions)}" if stage.extractions else "| json"
        case ast.LogfmtStage():
            return _logfmt_text(stage)
        case ast.RegexpStage():
            return f"| regexp {quote(stage.pattern)}"
        case ast.PatternStage():
            return f"| pattern {quote(stage.pattern)}"
        case ast.UnpackStage():
            return "| unpack"
        case ast.LabelFilterStage():
            return f"| {label_filter_text(stage.filter)}"
        case ast.LineFormatStage():
            return f"| line_format {quote(stage.template)}"
        case ast.LabelFormatStage():
            return "| label_format " + ",".join(map(_assignment_text, stage.assignments))
        case ast.DecolorizeStage():
            return "| decolorize"
        case ast.DropStage():
            return "| drop " + ",".join(map(_named_text, stage.labels))
        case ast.KeepStage():
            return "| keep " + ",".join(map(_named_text, stage.labels))
        case _:
            assert_never(stage)


def label_filter_text(filter_: LabelFilter) -> str:
    match filter_:
        case ast.StringFilter():
            return _string_filter_text(filter_.matcher)
        case ast.NumberFilter():
            return f"{filter_.name}{_compare_text(filter_.op)}{format_float(filter_.value, 'f', -1)}"
        case ast.DurationFilter():
            return f"{filter_.name}{_compare_text(filter_.op)}{format_duration(filter_.value_ns)}"
        case ast.BytesFilter():
            return f"{filter_.name}{_compare_text(filter_.op)}{format_bytes(filter_.value_bytes)}"
        case ast.IpFilter():
            return f"{filter_.name}{filter_.op}ip({quote(filter_.pattern)})"
        case ast.AndFilter():
            return f"( {label_filter_text(filter_.left)} , {label_filter_text(filter_.right)} )"
        case ast.OrFilter():
            return f"( {label_filter_text(filter_.left)} or {label_filter_text(filter_.right)} )"
        case _:
            assert_never(filter_)


def _string_filter_text(matcher: Matcher) -> str:
    """Loki puts an expression into backticks, but not what it takes for a search for literals, or negates."""
    if matcher.op != "=~" or "`" in matcher.value or value_expression(matcher.value) is not None:
        return matcher_text(matcher)
    return f"{matcher.name}=~`{matcher.value}`"


def _compare_text(op: str) -> str:
    return "==" if op == "=" else op


def _operand_text(operand: ast.LineOperand) -> str:
    return f"ip({quote(operand.text)})" if operand.is_ip else quote(operand.text)


def _logfmt_text(stage: ast.LogfmtStage) -> str:
    words = ["| logfmt"]
    if stage.strict:
        words.append("--strict")
    if stage.keep_empty:
        words.append("--keep-empty")
    if stage.extractions:
        words.append(_extractions_text(stage.extractions))
    return " ".join(words)


def _extractions_text(extractions: tuple[ast.Extraction, ...]) -> str:
    return ",".join(f"{one.label}={quote(one.expression)}" for one in extractions)


def _assignment_text(assignment: ast.LabelAssignment) -> str:
    return f"{assignment.name}={assignment.value if assignment.is_rename else quote(assignment.value)}"


def _named_text(label: str | Matcher) -> str:
    return label if isinstance(label, str) else matcher_text(label)


def _unwrap_texts(unwrap: ast.Unwrap | None) -> list[str]:
    """With the filters behind it, which the layout puts on lines of their own."""
    if unwrap is None:
        return []
    label = f"{unwrap.conversion}({unwrap.label})" if unwrap.conversion else unwrap.label
    return [f"| unwrap {label}", *(f"| {label_filter_text(one)}" for one in unwrap.filters)]


def _range_text(range_: LogRange) -> str:
    log = " ".join([expr_text(range_.log), *_unwrap_texts(range_.unwrap)])
    offset = f" offset {format_duration(range_.offset_ns)}" if range_.offset_ns else ""
    return f"{log}[{format_prometheus_duration(range_.range_ns)}]{offset}"


def _grouping_text(grouping: ast.Grouping | None, separator: str = ",") -> str:
    if grouping is None:
        return ""
    return f" {'without' if grouping.without else 'by'} ({separator.join(grouping.labels)})"


def _vector_grouping_text(grouping: ast.Grouping | None, separator: str = ",") -> str:
    """Nothing for `by ()`: it is what an aggregation does anyway."""
    return _grouping_text(grouping, separator) if grouping and (grouping.without or grouping.labels) else ""


def _operator_text(expr: ast.BinaryOperation, separator: str = ",") -> str:
    text = f"{expr.operator} bool" if expr.return_bool else expr.operator
    matching = expr.matching
    if not (matching.on or matching.labels or matching.cardinality != "one-to-one"):
        return text
    side = {"one-to-one": "", "many-to-one": "group_left", "one-to-many": "group_right"}[matching.cardinality]
    # An operand in parentheses would be read as the list of labels.
    if matching.include or (side and isinstance(expr.right, ast.BinaryOperation)):
        side = f"{side} ({separator.join(matching.include)})"
    return f"{text} {'on' if matching.on else 'ignoring'} ({separator.join(matching.labels)}) {side}"


# Layout


def _fits(text: str) -> bool:
    return len(text.encode()) <= _MAX_LINE


def _pretty(expr: Expr, level: int) -> str:
    text = expr_text(expr)
    if _fits(text):
        return _INDENT * level + text
    match expr:
        case LogExpr():
            return _pretty_log(expr, level)
        case ast.RangeAggregation():
            parameter = [] if expr.parameter is None else [format_float(expr.parameter, "g", -1)]
            inner = [_INDENT * (level + 1) + one for one in parameter] + [_pretty_range(expr.range, level + 1)]
            grouping = _grouping_text(expr.grouping, ", ")
            return _call(f"{_INDENT * level}{expr.operation}", inner, level) + grouping
        case ast.VectorAggregation():
            parameter = [f"{_INDENT * (level + 1)}{expr.parameter}"] if expr.parameter else []
            inner = [*parameter, _pretty(expr.expr, level + 1)]
            head = f"{_INDENT * level}{expr.operation}{_vector_grouping_text(expr.grouping, ', ')}"
            return _call(head, inner, level)
        case ast.BinaryOperation():
            left_lowest, right_lowest = operand_precedences(expr.operator)
            operands = (
                _pretty_operand(expr.left, level + 1, left_lowest),
                _pretty_operand(expr.right, level + 1, right_lowest),
            )
            return f"\n{_INDENT * level}{_operator_text(expr, ', ')}\n".join(operands)
        case ast.LabelReplace():
            texts = (expr.destination, expr.replacement, expr.source, expr.pattern)
            inner = [_pretty(expr.expr, level + 1), *(_INDENT * (level + 1) + quote(one) for one in texts)]
            return _call(f"{_INDENT * level}label_replace", inner, level)
        case _:
            return _INDENT * level + text


def _call(head: str, arguments: list[str], level: int) -> str:
    return head + "(\n" + ",\n".join(arguments) + f"\n{_INDENT * level})"


def _pretty_operand(expr: Expr, level: int, lowest: int) -> str:
    """`lowest` is the precedence from which an operation needs no parentheses; what fits on a line has its own."""
    if isinstance(expr, ast.BinaryOperation) and PRECEDENCE[expr.operator] < lowest and not _fits(expr_text(expr)):
        return f"{_INDENT * level}(\n{_pretty(expr, level + 1)}\n{_INDENT * level})"
    return _pretty(expr, level)


def _pretty_log(expr: LogExpr, level: int) -> str:
    indent = _INDENT * (level + 1)
    lines = [_INDENT * level + selector_text(expr.matchers)]
    for are_line_filters, run in groupby(expr.stages, lambda stage: isinstance(stage, ast.LineFilterStage)):
        if are_line_filters:
            lines += [indent + text for text in _pretty_line_filters(list(map(stage_text, run)))]
        else:
            lines += [_pretty_stage(one, indent) for one in run]
    return "\n".join(lines)


def _pretty_stage(stage: Stage, indent: str) -> str:
    # Loki forgets to indent decolorize.
    return stage_text(stage) if isinstance(stage, ast.DecolorizeStage) else indent + stage_text(stage)


def _pretty_line_filters(texts: list[str]) -> list[str]:
    """As many as fit on a line, then one a line: a run of them is one stage to Loki, which splits off its end."""
    together = len(texts)
    while together > 1 and not _fits(" ".join(texts[:together])):
        together -= 1
    return [" ".join(texts[:together]), *texts[together:]]


def _pretty_range(range_: LogRange, level: int) -> str:
    indent = _INDENT * (level + 1)
    text = "\n".join([_pretty(range_.log, level), *(indent + one for one in _unwrap_texts(range_.unwrap))])
    offset = format_prometheus_duration(range_.offset_ns)
    if range_.offset_ns < 0 and not _DAYS.isdisjoint(offset):
        offset = format_duration(range_.offset_ns)  # Loki's layout has days, which cannot be read behind a sign
    offset = f" offset {offset}" if range_.offset_ns else ""
    return f"{text} [{format_prometheus_duration(range_.range_ns)}]{offset}"
