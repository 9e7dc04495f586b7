"""Stages that change the line where nothing reads it.

Loki takes such line_formats out of a range aggregation before it builds the stages. Colours are taken out of no line
that nobody sees.
"""

from collections.abc import Sequence

from log_aggregator.logql import ast
from log_aggregator.logql.ast import RangeAggregation, Stage

_LINE = "__line__"
_READS_LINE = (
    ast.LineFilterStage | ast.JsonStage | ast.LogfmtStage | ast.RegexpStage | ast.PatternStage | ast.UnpackStage
)


def stages_in_use(aggregation: RangeAggregation) -> tuple[Stage, ...]:
    """All but idle ones, so that errors of idle line_formats do not matter."""
    stages = aggregation.range.log.stages
    return stages if aggregation.operation.startswith("bytes_") else without_idle(stages)


def without_idle(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages but for those behind which nothing reads the line that they make."""
    last_reader = max((number for number, stage in enumerate(stages) if isinstance(stage, _READS_LINE)), default=-1)
    # That a template reads the line does not count for line_formats, as in Loki.
    last_template = max((number for number, stage in enumerate(stages) if _has_line(stage)), default=-1)
    return tuple(
        stage
        for number, stage in enumerate(stages)
        if number < last_reader
        or not isinstance(stage, ast.LineFormatStage | ast.DecolorizeStage)
        or (isinstance(stage, ast.DecolorizeStage) and number < last_template)
    )


def _has_line(stage: Stage) -> bool:
    """Whether a template of it may read the line. What is idle is not compiled, and may be no template at all."""
    match stage:
        case ast.LineFormatStage(text):
            return _LINE in text
        case ast.LabelFormatStage(assignments):
            return any(_LINE in one.value for one in assignments)
        case _:
            return False
