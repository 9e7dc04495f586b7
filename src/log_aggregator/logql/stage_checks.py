"""Whether each stage of a query can be built: its regular expressions, templates, patterns, paths and addresses.

Loki quotes the stage as it prints it before what is wrong. It moves line filters to the front as far as that changes
nothing, and takes those that come together for one stage.
"""

from collections.abc import Iterable, Iterator

from log_aggregator.logql import ast
from log_aggregator.logql.ast import Expr, LogExpr, Stage
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.idle_formats import stages_in_use
from log_aggregator.logql.ip import parse_ip_pattern
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.paths import parse_json_path, parse_logfmt_key
from log_aggregator.logql.pattern import parse_line_pattern
from log_aggregator.logql.printer import stage_text
from log_aggregator.logql.regex import compile_regex
from log_aggregator.logql.template import TemplateError, compile_template

_ERROR_LABEL = "__error__"


def check_stages(expr: Expr) -> None:
    """Raises ParseError for the first stage that cannot be built."""
    for leaf in leaves_of(expr):
        for stages in _built_together(leaf.stages if isinstance(leaf, LogExpr) else stages_in_use(leaf)):
            try:
                for stage in reversed(stages):
                    _check(stage)
            except (ValueError, TemplateError) as error:
                raise ParseError(f"stage '{' '.join(map(stage_text, stages))}' : {error}") from error


def _built_together(stages: Iterable[Stage]) -> Iterator[tuple[Stage, ...]]:
    """The stages in the order in which they are built: line filters pass those that leave lines as they are."""
    line_filters: list[Stage] = []
    others: list[Stage] = []

    def so_far() -> list[tuple[Stage, ...]]:
        built = [tuple(line_filters)] if line_filters else []
        built += [(stage,) for stage in others]
        line_filters.clear()
        others.clear()
        return built

    for stage in stages:
        match stage:
            case ast.LineFilterStage():
                line_filters.append(stage)
            case ast.LabelFilterStage():
                yield from so_far()
                yield (stage,)
            case ast.LineFormatStage() | ast.UnpackStage():
                others.append(stage)
                yield from so_far()
            case _:
                others.append(stage)
    yield from so_far()


def _check(stage: Stage) -> None:
    match stage:
        case ast.LineFilterStage():
            for operand in stage.operands:
                _check_line_operand(stage.op, operand)
        case ast.JsonStage():
            for extraction in stage.extractions:
                parse_json_path(extraction.expression)
        case ast.LogfmtStage():
            for extraction in stage.extractions:
                parse_logfmt_key(extraction.expression)
        case ast.LineFormatStage():
            _check_template("line template", stage.template, "line")
        case ast.LabelFormatStage():
            _check_label_format(stage)
        case ast.LabelFilterStage(ast.IpFilter(pattern=pattern)):
            # Loki does not look at those that are parts of a filter.
            parse_ip_pattern(pattern)


def _check_line_operand(op: str, operand: ast.LineOperand) -> None:
    if operand.is_ip:
        if op not in ("|=", "!="):
            raise ValueError("ip: invalid operation")
        parse_ip_pattern(operand.text)
    elif op in ("|~", "!~"):
        compile_regex(operand.text)
    elif op in ("|>", "!>"):
        parse_line_pattern(operand.text)


def _check_label_format(stage: ast.LabelFormatStage) -> None:
    seen = set()
    for assignment in stage.assignments:
        if assignment.name == _ERROR_LABEL:
            raise ValueError(f"{assignment.name} cannot be formatted")
        if assignment.name in seen:
            raise ValueError(f"multiple label name '{assignment.name}' not allowed in a single format operation")
        seen.add(assignment.name)
    for assignment in stage.assignments:
        if not assignment.is_rename:
            _check_template(f"template for label '{assignment.name}'", assignment.value, "label")


def _check_template(what: str, text: str, name: str) -> None:
    try:
        compile_template(text, name)
    except TemplateError as error:
        raise ValueError(f"invalid {what}: {error}") from error
