"""line_formats whose line nothing reads. Loki takes them out of a range aggregation before it builds the stages."""

from collections.abc import Sequence

from log_aggregator.logql import ast
from log_aggregator.logql.ast import RangeAggregation, Stage

_READS_LINE = (
    ast.LineFilterStage | ast.JsonStage | ast.LogfmtStage | ast.RegexpStage | ast.PatternStage | ast.UnpackStage
)


def stages_in_use(aggregation: RangeAggregation) -> tuple[Stage, ...]:
    """All but idle line_formats, whose errors so do not matter. That a template reads the line does not count."""
    stages = aggregation.range.log.stages
    return stages if aggregation.operation.startswith("bytes_") else without_idle(stages)


def without_idle(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages but for line_formats behind which nothing reads the line."""
    last_reader = max((number for number, stage in enumerate(stages) if isinstance(stage, _READS_LINE)), default=-1)
    return tuple(
        stage
        for number, stage in enumerate(stages)
        if number < last_reader or not isinstance(stage, ast.LineFormatStage)
    )
