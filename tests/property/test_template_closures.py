"""Closures give what the evaluator gives, or leave it to the evaluator."""

from collections.abc import Mapping

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from log_aggregator.logql.template import TemplateError, TemplateRuntimeError, compile_template
from log_aggregator.logql.template.builtins import BUILTINS
from log_aggregator.logql.template.closures import compile_closures
from log_aggregator.logql.template.evaluate import execute, has_function
from log_aggregator.logql.template.functions import FUNCTIONS
from log_aggregator.logql.template.limits import Budget
from log_aggregator.logql.template.parser import parse
from log_aggregator.logql.template.regex import RegexCache
from log_aggregator.logql.template.signatures import Context
from log_aggregator.logql.template.strconv import decode_utf8, encode_utf8

LINE = 'level=info took=1h30m {"a": 1} é'
TIMESTAMP_NS = NOW_NS = 1_768_471_235_359_587_542

NAMES = st.sampled_from([*FUNCTIONS, *BUILTINS])
TEXTS = (
    '"a"',
    '""',
    '"[0-9]+"',
    '"(a|b)*"',
    '"$1"',
    '"%s-%v"',
    '"%d"',
    '"%"',
    '"é"',
    '"("',
    '"{}"',
    '"2006"',
    '"b\\xff"',
)
LITERALS = st.sampled_from((*TEXTS, *["1", "-1", "0", "3", "010", "1.5", "1e9", "99999999999999999999", "true", "nil"]))
LABELS = st.sampled_from([".a", ".b", ".missing", "$.a", "."])


def _call(args: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Mostly of as many arguments as the function takes, one of which may come from before."""

    def call(name: str) -> st.SearchStrategy[str]:
        count = len((FUNCTIONS.get(name) or BUILTINS[name]).params)
        given_of = st.lists(args, min_size=max(count - 1, 0), max_size=max(count, 1))
        return given_of.map(lambda given: " ".join((name, *given)))

    shortened = st.tuples(st.sampled_from(["and", "or"]), st.lists(args, max_size=3))
    return NAMES.flatmap(call) | shortened.map(lambda one: " ".join((one[0], *one[1])))


def _pipe(args: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(LABELS | LITERALS | _call(args), st.lists(_call(args), max_size=2)).map(
        lambda one: " | ".join((one[0], *one[1]))
    )


OPERANDS = st.recursive(LABELS | LITERALS, lambda args: _pipe(args).map(lambda pipe: f"({pipe})"), max_leaves=6)
BODIES = st.recursive(
    st.sampled_from(["", "text ", "é"]) | _pipe(OPERANDS).map(lambda pipe: f"{{{{ {pipe} }}}}"),
    lambda bodies: (
        st.tuples(_pipe(OPERANDS), bodies, bodies).map(
            lambda one: f"{{{{ if {one[0]} }}}}{one[1]}{{{{ else }}}}{one[2]}{{{{ end }}}}"
        )
        | st.tuples(bodies, bodies).map("".join)
    ),
    max_leaves=4,
)
NUMBERS = ["0", "7", "-3", "007", "1.50", "1e3", "-0.0", "0x1f", "9999999999999999999999999", "12.5", "1h", "10KiB"]
VALUES = st.sampled_from(("", "a", "/api/1/x", "é", "\udcff", " x ", '{"k": [1, null]}', "ab" * 9000, *NUMBERS))


def _evaluated(template: str, labels: Mapping[str, str]) -> str:
    tree = parse("line", template, has_function)
    context = Context(encode_utf8(LINE), TIMESTAMP_NS, lambda: NOW_NS, RegexCache(), Budget())
    try:
        return decode_utf8(execute(tree, labels, context))
    except TemplateRuntimeError as error:
        return f"error: {error}"


@given(BODIES, st.fixed_dictionaries({"a": VALUES, "b": VALUES}))
def test_closures_give_what_the_evaluator_gives(template: str, labels: Mapping[str, str]) -> None:
    try:
        compiled = compile_template(template, now_ns=_now)
    except TemplateError:
        return
    expected = _evaluated(template, labels)
    event(f"closures: {compile_closures(parse('line', template, has_function)) is not None}")
    event(f"fails: {expected.startswith('error')}")
    for _ in range(2):  # the second time, expressions are known
        try:
            found = compiled.render(labels, LINE, TIMESTAMP_NS)
        except TemplateRuntimeError as error:
            found = f"error: {error}"
        assert found == expected


def _now() -> int:
    return NOW_NS


@pytest.mark.parametrize(
    ("template", "is_plain"),
    [
        ('{{ regexReplaceAll "[0-9]+" .path "N" }}', True),
        ("{{ .level | ToUpper }} {{ .msg | trunc 80 }}", True),
        ('{{ if hasPrefix "/api" .path }}api{{ else if .x }}{{ $.x }}{{ else }}other{{ end }}', True),
        ('{{ printf "%s %d" .method (int .status) }}', True),
        ('{{ __line__ }} {{ __timestamp__ | date "15:04" }}', True),
        ("{{ and .a (or .b .c) }}", True),
        ("{{ $x := .a }}{{ $x }}", False),
        ("{{ range $k, $v := . }}{{ $k }}{{ end }}", False),
        ("{{ with .a }}{{ . }}{{ end }}", False),
        ('{{ define "t" }}{{ end }}{{ template "t" }}', False),
        ("{{ .a.b }}", False),
        ("{{ div 1 }}", False),
        ("{{ " + "(" * 64 + "1" + ")" * 64 + " }}", False),
    ],
)
def test_plain_templates_have_closures(template: str, is_plain: bool) -> None:
    assert (compile_closures(parse("line", template, has_function)) is not None) is is_plain
