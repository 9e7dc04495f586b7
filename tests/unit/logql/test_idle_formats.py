import pytest

from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.idle_formats import without_idle
from log_aggregator.logql.parser import parse_expr

UNREAD = (
    "| decolorize",
    "| json | decolorize",
    "| decolorize | label_format a=`{{.b}}`",
    "| decolorize | level=`x` | drop b",
    "| line_format `{{.a}}` | label_format a=`{{__line__}}`",
)
READ = (
    "| decolorize | json",
    "| decolorize | level=`x` |= `y`",
    "| decolorize | label_format a=`{{__line__}}`",
    "| line_format `{{.a}}` | json",
)


def without(stages: str) -> list[str]:
    """The kinds of the stages that are left."""
    expr = parse_expr('{app="a"} ' + stages)
    assert isinstance(expr, LogExpr)
    return [type(stage).__name__ for stage in without_idle(expr.stages)]


@pytest.mark.parametrize("stages", UNREAD)
def test_what_changes_a_line_that_nothing_reads_is_left_out(stages: str) -> None:
    assert not {"DecolorizeStage", "LineFormatStage"} & set(without(stages))


@pytest.mark.parametrize("stages", READ)
def test_what_changes_a_line_that_something_reads_stays(stages: str) -> None:
    assert {"DecolorizeStage", "LineFormatStage"} & set(without(stages))
