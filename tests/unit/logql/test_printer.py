"""Queries as Loki prints them: on one line in messages, laid out by /format_query."""

import pytest

from log_aggregator.logql.parser import parse_text
from log_aggregator.logql.printer import expr_text, format_expr

SELECTOR = '{app="x", cluster=~"a-very-long-cluster-name-.*", namespace="some-quite-long-namespace"}'


@pytest.mark.parametrize(
    ("query", "printed"),
    [
        ('{app="x",env=~"a|b"}', '{app="x", env=~"a|b"}'),
        (r'{app="x"} |= `a"b` != "c" |~ `\d+`', r'{app="x"} |= "a\"b" != "c" |~ "\\d+"'),
        ('{app="x"} |= "a" or "b" or ip("1.2.3.4")', '{app="x"} |= "a" or "b" or ip("1.2.3.4")'),
        ('{app="x"} != "a" or "b"', '{app="x"} != "a" != "b"'),
        ('{app="x"} |> "<_>a" !> "b"', '{app="x"} |> "<_>a" !> "b"'),
        ('{app="x"} | json a, b="c[0].d"', '{app="x"} | json a="a",b="c[0].d"'),
        ('{app="x"} | logfmt --keep-empty --strict a="b"', '{app="x"} | logfmt --strict --keep-empty a="b"'),
        (
            '{app="x"} | regexp "(?P<a>.*)" | pattern "<a> <_>" | unpack | decolorize',
            '{app="x"} | regexp "(?P<a>.*)" | pattern "<a> <_>" | unpack | decolorize',
        ),
        (
            '{app="x"} | line_format "{{.a}}" | label_format b=c, d=`{{.e}}`',
            '{app="x"} | line_format "{{.a}}" | label_format b=c,d="{{.e}}"',
        ),
        ('{app="x"} | drop a, b="c" | keep d, e=~"f"', '{app="x"} | drop a,b="c" | keep d,e=~"f"'),
        (
            '{app="x"} | a > 5 and b == 1d or c <= 1KiB, d != -1.5',
            '{app="x"} | ( ( a>5 , b==24h0m0s ) or ( c<=1.0kB , d!=-1.5 ) )',
        ),
        ('{app="x"} | a="b" c="d" and e="f"', '{app="x"} | ( a="b" , ( c="d" , e="f" ) )'),
        ('{app="x"} | (a=1 or b=2) and c=3', '{app="x"} | ( ( a==1 or b==2 ) , c==3 )'),
        ('{app="x"} | a=~"b.c" or a=~"b.*" or a!~"b.c"', '{app="x"} | ( ( a=~`b.c` or a=~"b.*" ) or a!~"b.c" )'),
        ('{app="x"} | &="a" | &=5 | keep é="a"', '{app="x"} | "&"="a" | &==5 | keep "é"="a"'),
        ('{app="x"} | a=~"b`.c" | drop a=~"b.c"', '{app="x"} | a=~"b`.c" | drop a=~"b.c"'),
        ('{app="x"} | a = ip("10.0.0.0/8") | b = 20KB', '{app="x"} | a=ip("10.0.0.0/8") | b==20kB'),
        (r'{\="x", a_1="y"} | &="z"', r'{"\\"="x", a_1="y"} | "&"="z"'),
        ("topk(1, sum(1)) + sort(2)", "(topk(1,sum(1)) + sort(2))"),
        ("1 + 2 * 3", "7"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "4"),
        ("1 > bool 2", "0"),
        ("1e6 * 10", "1e+07"),
        ("vector(1)", "vector(1.000000)"),
        ('rate({app="x"}[1d1h] offset 90m)', 'rate({app="x"}[1d1h] offset 1h30m0s)'),
        ('count_over_time({app="x"}[5m] offset -5m | json)', 'count_over_time({app="x"} | json[5m] offset -5m0s)'),
        ('sum(rate({app="x"}[5m])) by (a, b)', 'sum by (a,b)(rate({app="x"}[5m]))'),
        ('sum without () (rate({app="x"}[5m]))', 'sum without ()(rate({app="x"}[5m]))'),
        ('sum by () (rate({app="x"}[5m]))', 'sum(rate({app="x"}[5m]))'),
        (
            'avg_over_time({app="x"} | unwrap duration(a) | b="c" [5m]) by ()',
            'avg_over_time({app="x"} | unwrap duration(a) | b="c"[5m]) by ()',
        ),
        ('quantile_over_time(0.990, {app="x"} | unwrap a [5m])', 'quantile_over_time(0.99,{app="x"} | unwrap a[5m])'),
        (
            'topk(5, rate({app="x"}[1m])) > bool on(a) group_left(b) vector(2)',
            '(topk(5,rate({app="x"}[1m])) > bool on (a) group_left (b) vector(2.000000))',
        ),
        ("vector(1) + ignoring() vector(2) * vector(3)", "(vector(1.000000) + (vector(2.000000) * vector(3.000000)))"),
        (
            'label_replace(rate({app="x"}[5m]), "a", "$1", "b", "(.*)")',
            'label_replace(rate({app="x"}[5m]),"a","$1","b","(.*)")',
        ),
        ('RATE({app="x"}[5m]) OR vector(0)', '(rate({app="x"}[5m]) or vector(0.000000))'),
    ],
)
def test_one_line(query: str, printed: str) -> None:
    """Literals are folded, `and` is a comma, durations are Go's in filters and Prometheus' in ranges."""
    assert expr_text(parse_text(query)) == printed


LAYOUTS = """SELECTOR |= "an error" != "not this" | json | decolorize | status >= 500 | line_format "{{.msg}}"
---
SELECTOR
  |= "an error" != "not this"
  | json
| decolorize
  | status>=500
  | line_format "{{.msg}}"

SELECTOR |= "a-line-filter-of-some-length" |= "b-line-filter-of-some-length" |= "c-line-filter-of-some-length" or "d"
---
SELECTOR
  |= "a-line-filter-of-some-length" |= "b-line-filter-of-some-length"
  |= "c-line-filter-of-some-length" or "d"

sum by (cluster, namespace) (rate(SELECTOR |= "an error" [5m] offset 1h))
---
sum by (cluster, namespace)(
  rate(
    SELECTOR
      |= "an error" [5m] offset 1h
  )
)

quantile_over_time(0.99, SELECTOR | unwrap duration(took) | __error__="" [1d]) by (cluster, pod)
---
quantile_over_time(
  0.99,
  SELECTOR
    | unwrap duration(took)
    | __error__="" [1d]
) by (cluster, pod)

topk(10, sum(rate(SELECTOR[5m]))) / on (cluster) group_left () (vector(1) + sum without () (rate(SELECTOR[5m])))
---
  topk(
    10,
    sum(
      rate(SELECTOR[5m])
    )
  )
/ on (cluster) group_left ()
  (
      vector(1.000000)
    +
      sum without ()(
        rate(SELECTOR[5m])
      )
  )

count(rate(SELECTOR[5m])) * 2 ^ min(rate(SELECTOR[5m])) - (vector(1) - max(rate(SELECTOR[5m])))
---
    count(
      rate(SELECTOR[5m])
    )
  *
      2
    ^
      min(
        rate(SELECTOR[5m])
      )
-
  (
      vector(1.000000)
    -
      max(
        rate(SELECTOR[5m])
      )
  )

max_over_time(SELECTOR | unwrap took [5m] offset -90m)
---
max_over_time(
  SELECTOR
    | unwrap took [5m] offset -1h30m
)

label_replace(sum(rate(SELECTOR[5m])), "short_cluster_name", "$1", "cluster", "a-(.*)")
---
label_replace(
  sum(
    rate(SELECTOR[5m])
  ),
  "short_cluster_name",
  "$1",
  "cluster",
  "a-(.*)"
)"""


@pytest.mark.parametrize("case", LAYOUTS.split("\n\n"), ids=lambda case: case[:30])
def test_layout(case: str) -> None:
    """What is longer than a hundred characters is split and indented."""
    query, printed = case.replace("SELECTOR", SELECTOR).split("\n---\n")
    assert format_expr(parse_text(query)) == printed


@pytest.mark.parametrize(("length", "lines"), [(100, 1), (101, 2)])
def test_layout_begins_behind_a_hundred_characters(length: int, lines: int) -> None:
    query = '{app="x"} |= ""'
    padded = query.replace('""', '"' + "a" * (length - len(query)) + '"')
    assert len(format_expr(parse_text(padded)).splitlines()) == lines


def test_layout_of_a_negative_offset_is_read_back() -> None:
    selector = '{app="' + "x" * 100 + '"}'
    for offset, written in (("-90m", "-1h30m"), ("-24h", "-24h0m0s"), ("-1h", "-1h")):
        expr = parse_text(f"sum by (a) (count_over_time({selector} | json [5m] offset {offset}))")
        assert f"[5m] offset {written}\n" in format_expr(expr)
        assert parse_text(format_expr(expr)) == expr
