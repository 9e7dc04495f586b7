"""Which needles a query's stages say that every row must hold."""

import pytest

from log_aggregator.engine.skip_filter import Needle, needles_of
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr

ID = "00112233445566778899aabbccddeeff"
UUID = "2f1b3c4d-aaaa-bbbb-cccc-0123456789ab"
IN_LINE, IN_METADATA = Needle((ID,)), Needle((ID,), "trace_id")


@pytest.mark.parametrize(
    ("stages", "needles"),
    [
        ("", ()),
        (f'|= "{ID}"', (IN_LINE,)),
        (f'|= "trace={ID}"', (Needle((f"trace={ID}",)),)),
        (f'|~ "{ID}"', (IN_LINE,)),
        (f'|~ "{ID}.*x"', ()),
        (f'|~ "(?i){ID}"', ()),
        (f'!= "{ID}"', ()),
        (f'|> "<_>{ID}<_>"', (IN_LINE,)),
        (f'|> "<_> id=<_>-<_> {ID}"', (Needle((f" {ID}",)),)),
        (f'|> "<_>{ID}<_>" or "{UUID}<_>"', (Needle((ID, UUID)),)),
        (f'|> "<_>{ID}<_>" or "<_>"', ()),
        (f'|> "<_>{ID}<_>" or "error<_>"', ()),
        (f'!> "<_>{ID}<_>"', ()),
        ('|= "00112233"', ()),
        ('|= "a longer text without any id"', ()),
        (f'|= "{ID}" |= "{UUID}"', (IN_LINE, Needle((UUID,)))),
        (f'|= "{ID}" or "{UUID}"', (Needle((ID, UUID)),)),
        (f'|= "{ID}" or "error"', ()),
        (f'| json |= "{ID}"', (IN_LINE,)),
        (f'| line_format "{{{{.x}}}}" |= "{ID}"', ()),
        (f'| trace_id="{ID}"', (IN_METADATA,)),
        (f'| trace_id="{ID}" and level="error"', (IN_METADATA,)),
        (f'| trace_id="{ID}" or level="error"', ()),
        (f'| trace_id!="{ID}"', ()),
        (f'| trace_id=~"{ID}"', ()),
        (f'| json | trace_id="{ID}"', ()),
        (f'| __tenant_id__="{ID}"', ()),
    ],
)
def test_needles(stages: str, needles: tuple[Needle, ...]) -> None:
    expr = parse_expr(f'{{app="a"}} {stages}')
    assert isinstance(expr, LogExpr)
    assert needles_of(expr.stages) == needles
