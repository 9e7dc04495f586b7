"""Labels that label_format makes by templates: columns tell of them what the row-wise stages do."""

from hypothesis import given, settings
from hypothesis import strategies as st

from both_ways import Entry, Form
from hostile_entries import (
    assert_columns_choose_what_rows_need,
    assert_columns_give_what_rows_give,
    forms,
    grouped_leaf,
    log_if_valid,
    records,
    steps,
)
from log_aggregator.engine.order import Direction
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation

NAMES = ("level", "n", "d", "app", "env", "made", "other", "level_extracted", "__error__", "trace")
names = st.sampled_from(NAMES)
templates = st.sampled_from(
    (
        *(
            "{{.level}}",
            "{{.level}}-{{.n}}",
            "x",
            "{{.none}}",
            "{{.level | ToUpper}}",
            "{{ trunc 1 .level }}",
            "{{.__error__}}",
        ),
        *(
            "{{ if .n }}{{ .n }}{{ else }}none{{ end }}",
            "{{ div (int .n) 2 }}",
            "{{ div 1 (int .n) }}",
            "{{.level_extracted}}",
        ),
        *(
            '{{ regexReplaceAll "[a-z]+" .level "N" }}',
            "{{ substr 0 2 .level }}",
            "{{ mulf .n 0.5 }}",
            "{{ printf `%s/%s` .app .d }}",
        ),
        *(
            "{{ trunc 1 `é` }}{{.n}}",
            "{{.d}}s",
            "{{ .n }}KB",
            "{{ fromJson .level }}",
            "{{ __line__ | trunc 3 }}",
            "{{ default 7 .n }}",
        ),
        *(
            "{{ range $k, $v := . }}{{ $k }}{{ end }}",
            "{{ .level | default `none` | replace `n` `m` }}",
            "{{ unixToTime .n }}",
        ),
    )
)
assignments = st.tuples(st.sampled_from(("made", "other", "level", "n", "app", "d")), templates).map(
    lambda one: f"{one[0]}=`{one[1]}`"
) | st.tuples(st.sampled_from(("made", "other", "level")), names).map("=".join)
label_formats = st.lists(assignments, min_size=1, max_size=2, unique_by=lambda one: one.partition("=")[0]).map(
    lambda some: f"| label_format {', '.join(some)}"
)
filters = st.one_of(
    st.builds(
        '| {} {} "{}"'.format, names, st.sampled_from(("=", "!=")), st.sampled_from(("info", "", "5", "N", "IN"))
    ),
    st.builds(
        '| {} {} "{}"'.format, names, st.sampled_from(("=~", "!~")), st.sampled_from(("inf.*", "", ".+", "[A-Z]+"))
    ),
    st.builds("| {} {}".format, names, st.sampled_from(("> 2", "!= 5", "< 2h", "> 1KB", '= ip("1.2.3.0/24")'))),
    st.builds('| {} = "info" or {} > 2'.format, names, names),
    st.just('| __error__ = ""'),
)
others = st.one_of(
    filters,
    st.builds("| drop {}".format, names),
    st.builds("| keep {}, {}, level".format, names, names),
    st.just("| line_format `{{.level}}`"),
)
parsers = st.sampled_from(
    (
        *(
            "| json",
            "| json",
            "| logfmt",
            "| logfmt",
            "| json | logfmt",
            "| json level, n",
            "| logfmt level, n",
            "| unpack",
        ),
        *(
            "| pattern `<level> <n> <d>`",
            "| regexp `(?P<level>\\w+)=(?P<n>\\d+)`",
            "| json | line_format `{{.level}}` | logfmt",
        ),
    )
)
unwraps = st.builds(
    "| unwrap {}{}".format,
    st.sampled_from(("made", "made", "n", "duration(made)", "bytes(made)", "duration(d)", "level")),
    st.sampled_from(("", "", ' | __error__ = ""', " | n > 2", " | made > 1")),
)


@st.composite
def pipelines(draw: st.DrawFn) -> str:
    stages = [
        *draw(st.lists(parsers, max_size=1) | parsers.map(lambda one: [one])),
        *draw(st.lists(others, max_size=1)),
        *draw(st.lists(label_formats, min_size=1, max_size=2)),
        *draw(st.lists(others, max_size=2)),
        *draw(st.lists(label_formats, max_size=1)),
        *draw(st.lists(others, max_size=1)),
    ]
    return " ".join(stages)


@st.composite
def range_aggregations(draw: st.DrawFn) -> RangeAggregation:
    unwrap = draw(st.just("") | unwraps)
    operation = draw(
        st.sampled_from(
            ("sum_over_time", "max_over_time", "first_over_time") if unwrap else ("count_over_time", "rate")
        )
    )
    labels = ", ".join(draw(st.lists(names, max_size=2, unique=True)))
    grouping = draw(st.sampled_from((f"by ({labels})", f"by ({labels})", f"by ({labels})", f"without ({labels})", "")))
    text = f'{operation}({{app=~".+"}} {draw(pipelines())} {unwrap} [7s])'
    return grouped_leaf(draw, text, grouping, is_own=operation in ("max_over_time", "first_over_time"))


@settings(max_examples=300)
@given(leaf=range_aggregations(), records=records, forms=forms, times=steps)
def test_columns_give_what_rows_give(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps
) -> None:

    assert_columns_give_what_rows_give(leaf, records, forms, times)


@settings(max_examples=300)
@given(pipelines(), records, forms, st.sampled_from(("forward", "backward")), st.integers(1, 12))
def test_columns_choose_what_rows_need(
    stages: str, records: list[list[Entry]], forms: list[Form], direction: Direction, limit: int
) -> None:
    assert_columns_choose_what_rows_need(log_if_valid(stages), records, forms, direction, limit)
