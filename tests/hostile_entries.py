"""Hostile lines, metadata and stages, for tests that hold columns to rows."""

from collections.abc import Sequence

from hypothesis import strategies as st

from both_ways import FORMS, STREAMS, Entry

SECOND_NS = 1_000_000_000
METADATA_NAMES = ("trace", "level", "n", "app", "env", "level_extracted")
VALUES = (
    *("info", "warn", "", "5", "1.5", "-3", "007", "1e3", "abc", "1h", "5KB", "1.2.3.4", "é"),
    *("\ufffd", "a b", "0x1F"),
)


JSON_KEYS = (
    *("level", "n", "d", "app", "env", "level_extracted", "n_extracted", "dotted.key", "dotted_key", "_", "1x", "é"),
    *(" level ", "", "__error__", "__kind__", "trace"),
)
JSON_VALUES = (
    *(f'"{value}"' for value in VALUES),
    *("5", "1.5", "-3", "007", "1e3", "-0", "12345678901234567890", "0.10", "true", "false", "null", "nul", "--"),
    *("[]", '[1, "a", null]', '[{"n":1}]', r'"q\"uote"', r'"\u00e9"', r'"\ud800"', r'"back\\slash"', '"\t"', "{}"),
)
LOGFMT_KEYS = ("level", "n", "d", "app", "env", "level_extracted", "dotted.key", "dotted_key", "_", "1x", "é", "trace")
LOGFMT_VALUES = (*VALUES[:13], "a=b", '"a b"', '"5"', '""', r'"q\"uote"', '"open', '"a"b', "\ufffd", "back\\slash")
FREE_LINES = ("", " ", "plain text", "GET /x 200 5", "GET /y 404 \ufffd", "level=", "{", "{}", "é", '{"level":"info"}x')

json_scalars = st.sampled_from(JSON_VALUES)
json_keys = st.sampled_from(JSON_KEYS)


def json_object(members: Sequence[tuple[str, str]], separator: str) -> str:
    return "{" + f",{separator}".join(f'"{key}":{separator}{value}' for key, value in members) + "}"


json_flat = st.builds(
    json_object, st.lists(st.tuples(json_keys, json_scalars), max_size=5), st.sampled_from(("", "", " "))
)
json_lines = st.builds(
    json_object, st.lists(st.tuples(json_keys, json_scalars | json_flat), max_size=5), st.sampled_from(("", "", " "))
)
# The lines of a program, which differ in values alone.
uniform_json = st.builds(
    lambda level, n, d: f'{{"level":"{level}","n":{n},"d":"{d}","a":{{"b":"{level}"}}}}',
    st.sampled_from(("info", "warn", "é", "abc")),
    st.sampled_from(("5", "1.5", "-3", "007", '"abc"', "0.25")),
    st.sampled_from(("1h", "5KB", "1.2.3.4", "", "5")),
)
uniform_logfmt = st.builds(
    lambda level, n, d: f"level={level} n={n} d={d}",
    st.sampled_from(("info", "warn", "é", '"a b"')),
    st.sampled_from(("5", "1.5", "-3", "007", "abc", "0.25")),
    st.sampled_from(("1h", "5KB", "1.2.3.4", "5")),
)
logfmt_lines = st.lists(
    st.sampled_from(LOGFMT_KEYS)
    | st.builds("{}={}".format, st.sampled_from(LOGFMT_KEYS), st.sampled_from(LOGFMT_VALUES)),
    max_size=5,
).map(" ".join)
whole_lines = st.one_of(uniform_json, uniform_logfmt, json_lines, logfmt_lines, st.sampled_from(FREE_LINES))
cut_lines = st.builds(lambda line, length: line[:length], whole_lines, st.integers(0, 40))
lines = st.one_of(uniform_json, uniform_logfmt, whole_lines, cut_lines)
metadata = st.one_of(
    st.just({}),
    st.just({}),
    st.dictionaries(st.sampled_from(METADATA_NAMES), st.sampled_from([value for value in VALUES if value]), max_size=2),
)
entries = st.builds(
    Entry,
    st.integers(0, len(STREAMS) - 1) | st.just(0),
    st.integers(-5, 40).map(lambda quarter: quarter * SECOND_NS // 4) | st.integers(0, 10 * SECOND_NS),
    lines,
    metadata,
)

NAMES = ("level", "app", "env", "n", "d", "trace", "level_extracted", "dotted_key", "a_b", "_", "__error__", "__kind__")
names = st.sampled_from(NAMES)
regexes = st.sampled_from(("inf.*", "info|warn", "", ".*", ".+", "[a-z]+", "(?i)INFO"))
label_filters = st.one_of(
    st.builds('{} {} "{}"'.format, names, st.sampled_from(("=", "!=")), st.sampled_from(("info", "", "5", "shop"))),
    st.builds('{} {} "{}"'.format, names, st.sampled_from(("=~", "!~")), regexes),
    st.builds(
        "{} {} {}".format,
        names,
        st.sampled_from((">", ">=", "<", "==", "!=")),
        st.sampled_from(("1", "5", "1h", "2KB")),
    ),
    st.builds('{} {} ip("1.2.3.0/24")'.format, names, st.sampled_from(("=", "!="))),
)
combined_filters = st.one_of(
    label_filters,
    st.builds("{} {} {}".format, label_filters, st.sampled_from(("and", "or", ",")), label_filters),
)
line_filters = st.one_of(
    st.builds('{} "{}"'.format, st.sampled_from(("|=", "!=")), st.sampled_from(("", "info", "n", "é", "abc"))),
    st.builds('{} "{}"'.format, st.sampled_from(("|~", "!~")), st.sampled_from(("inf.", "[0-9]+", "(?i)INFO|é", "^$"))),
    st.just('|= "info" or "warn"'),
    st.just('!= "info" or "abc"'),
)
parsers = st.sampled_from(
    (
        *("json", "json", "json", "logfmt", "logfmt", "logfmt --strict", "logfmt --keep-empty"),
        *('pattern "<_> <level> <n>"', 'pattern "GET <app> <n> <d>"', 'pattern "<level>=<n> <_>=<d>"'),
        'pattern "<level>:<level_extracted>,<_>"',
    )
)
format_sources = st.sampled_from(("level", "n", "`{{.level}}-{{.n}}`", "`{{.app | upper}}`", "`{{div .n 2}}`", "`x`"))
label_stages = st.one_of(
    combined_filters,
    combined_filters,
    st.builds("label_format {}={}".format, st.sampled_from(("level", "made", "n", "app")), format_sources),
    st.builds("drop {}".format, names),
    st.builds('drop {}="{}"'.format, names, st.sampled_from(VALUES[:4])),
    st.builds("keep {}, {}".format, names, names),
    st.builds('keep {}=~"{}"'.format, names, regexes),
    st.just("drop __error__, __error_details__"),
    st.just('__error__ = ""'),
)
records = st.lists(st.lists(entries, min_size=1, max_size=12), min_size=1, max_size=3)
forms = st.lists(st.sampled_from(FORMS), min_size=3, max_size=3)
