"""The entry on which the tables of templates are rendered."""

from collections.abc import Callable

import pytest

from log_aggregator.logql.template import compile_template

LABELS = {
    "level": "error",
    "msg": 'he said "hi" <b> & é',
    "order": "300962",
    "status": "500",
    "amount": "123.77",
    "empty": "",
    "took": "1h30m",
    "size": "10KiB",
    "kanji": "日本語",
    "doc": '{"a":{"b":[1,2,{"c":null}]},"s":"x","t":true,"n":null,"f":1.5,"big":12345678901}',
}
LINE = 'ts=1 level=info msg="hello wörld" n=42'
TIMESTAMP_NS = 1_768_471_235_359_587_542  # 2026-01-15 10:00:35.359587542


@pytest.fixture
def render() -> Callable[[str], str]:
    def rendered(template: str) -> str:
        return compile_template(template).render(LABELS, LINE, TIMESTAMP_NS)

    return rendered
