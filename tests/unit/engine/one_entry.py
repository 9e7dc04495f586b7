"""One entry through the pipeline or the sampler of a query."""

from collections.abc import Mapping

from log_aggregator.engine.pipeline import Row, compile_pipeline
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.samples import compile_sampler
from log_aggregator.logql.ast import LogExpr, RangeAggregation, VectorAggregation
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.labels import Labels

TIMESTAMP_NS = 1_768_471_200_000_000_000
STREAM: Labels = (("app", "shop"), ("env", "prod"))


def passed(stages: str, line: str, metadata: Mapping[str, str] | None = None) -> Row | None:
    expr = parse_expr(f'{{app="shop"}} {stages}')
    assert isinstance(expr, LogExpr)
    return compile_pipeline(expr.stages).process(TIMESTAMP_NS, line, STREAM, metadata or {})


def parsed(stages: str, line: str, metadata: Mapping[str, str] | None = None) -> dict[str, str]:
    """The labels that the stages made."""
    row = passed(stages, line, metadata)
    assert row is not None
    return dict(row.parsed)


def sample(query: str, line: str, metadata: Mapping[str, str] | None = None) -> tuple[dict[str, str], float] | None:
    """The series and value that a line counts for in a range aggregation, or in one under a vector aggregation."""
    parsed_query = parse_expr(query)
    assert not isinstance(parsed_query, LogExpr)
    expr = push_down(parsed_query)
    leaf = expr.expr if isinstance(expr, VectorAggregation) else expr
    assert isinstance(leaf, RangeAggregation)
    found = compile_sampler(leaf).process(TIMESTAMP_NS, line, STREAM, metadata or {})
    return None if found is None else (dict(found[0]), found[1])
