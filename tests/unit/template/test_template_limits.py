"""Hostile templates end with an error, soon, and without filling the memory."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.errors import ErrorCode
from log_aggregator.logql.template import TemplateError, TemplateRuntimeError, compile_template, printf
from log_aggregator.logql.template.limits import MAX_NESTING, MAX_STEPS, MAX_STRING_BYTES, MAX_WORK_BYTES

STRING = f"string exceeds {MAX_STRING_BYTES} bytes"
STEPS = f"exceeded {MAX_STEPS} steps"
WORK = f"exceeded {MAX_WORK_BYTES} bytes of work"
NESTING = f"exceeded maximum nesting depth ({MAX_NESTING})"
COUNT_DOWN = '{{ define "t" }}{{ if . }}{{ template "t" (int (sub . 1)) }}{{ else }}x{{ end }}{{ end }}'
A_MILLION = '{{ $x := repeat 1000000 "a" }}'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{{ repeat 2000000 "x" }}', STRING),
        ('{{ repeat 9223372036854775807 "x" }}', STRING),
        ('{{ indent 2000000 "x" }}', STRING),
        ('{{ nindent 1000 (repeat 2000 "\\n") }}', STRING),
        ('{{ alignLeft 2000000 "x" }}', STRING),
        ('{{ alignRight 2000000 "x" }}', STRING),
        ('{{ replace "a" (repeat 2000 "b") (repeat 2000 "a") }}', STRING),
        ('{{ replace "" (repeat 2000 "b") (repeat 2000 "é") }}', STRING),
        ('{{ Replace (repeat 2000 "a") "" (repeat 2000 "b") -1 }}', STRING),
        ('{{ regexReplaceAll "a" (repeat 2000 "a") (repeat 2000 "b") }}', STRING),
        ('{{ regexReplaceAll "(a+)" (repeat 2000 "a") (repeat 2000 "$1") }}', STRING),
        ('{{ printf "%999999d%999999d" 1 2 }}', STRING),
        ('{{ printf "%.999999d%.999999f" 1 2.0 }}', STRING),
        ('{{ html (repeat 900000 "<") }}', STRING),
        ('{{ js (repeat 900000 "<") }}', STRING),
        ('{{ urlquery (repeat 900000 "<") }}', STRING),
        ('{{ $x := "a" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}', STRING),
        (f"{A_MILLION}{{{{ __timestamp__.Format $x }}}}", STRING),
        (f"{A_MILLION}{{{{ $x }}}}{{{{ $x }}}}", f"output exceeds {MAX_STRING_BYTES} bytes"),
        ("{{ range 1000000000 }}{{ end }}", STEPS),
        ("{{ range 1000000000 }}{{ $x := 1 }}{{ end }}", STEPS),
        ("{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}", STEPS),
        (f"{A_MILLION}{{{{ range 1000 }}}}{{{{ $y := contains `b` $x }}}}{{{{ end }}}}", WORK),
        (
            '{{ $j := fromJson (print "[" (repeat 9999 "0,") "0]") }}'
            "{{ range 9999 }}{{ range $j }}{{ break }}{{ end }}{{ end }}",
            WORK,
        ),
        ('{{ range 9999 }}{{ $x := count (printf "%d" .) "1" }}{{ end }}', WORK),
        ('{{ range 9999 }}{{ $x := fromJson (print "[" (repeat 9999 "0,") "0]") }}{{ end }}', WORK),
        (f'{A_MILLION}{{{{ count "a" $x }}}}', "too many matches in too long a text"),
        ('{{ define "t" }}{{ template "t" . }}{{ end }}{{ template "t" . }}', NESTING),
        (
            '{{ define "t" }}{{ if 1 }}{{ template "u" . }}{{ end }}{{ end }}'
            '{{ define "u" }}{{ template "t" . }}{{ end }}{{ template "t" . }}',
            NESTING,
        ),
        ('{{ fromJson (repeat 100000 "[") }}', f"JSON nested deeper than {MAX_NESTING} levels"),
        ('{{ fromJson (print (repeat 65 "[") (repeat 65 "]")) }}', f"JSON nested deeper than {MAX_NESTING} levels"),
        ("{{ mulf " + "1.0000000000000002 " * 400 + "}}", "decimal number too long"),
        ("{{ divf 1e308 " + "1e-300 " * 20 + "}}", "decimal number too long"),
        ("{{ __timestamp__.AddDate 9000000000000 0 0 }}", "date out of range"),
    ],
)
def test_limits(render: Callable[[str], str], template: str, message: str) -> None:
    with pytest.raises(TemplateRuntimeError) as caught:
        render(template)
    assert str(caught.value).endswith(f": {message}")
    assert caught.value.code is ErrorCode.INVALID


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}",
        "{{ if 1 }}" * 10_000 + "{{ end }}" * 10_000,
        "{{ range 1 }}{{ with 1 }}" * 5_000 + "{{ end }}" * 10_000,
        '{{ block "a" . }}' * 10_000,
    ],
)
def test_nesting_is_limited_when_compiling(template: str) -> None:
    with pytest.raises(TemplateError, match=r"^template: line:1: max expression depth exceeded$"):
        compile_template(template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ " + "(" * 60 + "1" + ")" * 60 + " }}", "1"),
        ("{{ if 1 }}" * 60 + "x" + "{{ end }}" * 60, "x"),
        ("{{ if 0 }}" + "{{ else if 0 }}" * 3000 + "{{ else }}x{{ end }}", "x"),
        ('{{ repeat 1048576 "x" | len }}', "1048576"),
        (COUNT_DOWN + '{{ template "t" 20 }}', "x"),
        ("{{ $n := 0 }}{{ range 10000 }}{{ $n = add $n 1 }}{{ end }}{{ $n }}", "10000"),
        ('{{ fromJson (print (repeat 64 "[") (repeat 64 "]")) | print | len }}', "128"),
        ('{{ int (repeat 10000 "1") }}{{ float64 (repeat 10000 "1") }}', "00"),
        ("{{ round 1.5 1000000000 }} {{ round 1.5 -1000000000 }} {{ round 0 -1000000000 }}", "NaN NaN NaN"),
    ],
)
def test_honest_templates_stay_within_the_limits(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


TOKENS = re.findall(
    r"\S+",
    """{{ }} {{- -}} ( ) | . .msg .nosuch $ $x := = , if else end range with define template block break continue nil
    true "s" "日" `r` 'c' 1 1.5 -1 08 len lower print printf "%d" "%[2]*.[1]f" index slice fromJson .doc and or eq lt
    __line__ __timestamp__ .Year .Format add divf round date toDate "2006-01-02" regexReplaceAll "(" default count
    {{end}} {{else}} {{/* */}} @""",
)


def refusal(text: str) -> str | None:
    """Why a template cannot be compiled or rendered."""
    try:
        compile_template(text).render({"msg": "m", "doc": '{"a":[1,null]}'}, "line", 0)
    except (TemplateError, TemplateRuntimeError) as error:
        return str(error)
    return None


@given(st.lists(st.tuples(st.sampled_from(TOKENS), st.sampled_from(["", " ", "\n"])), max_size=30))
def test_any_text_compiles_and_renders_or_is_refused(tokens: list[tuple[str, str]]) -> None:
    message = refusal("".join(token + space for token, space in tokens))
    assert message is None or message.startswith("template: line:")


FUNCTIONS = re.findall(
    r"\w+",
    """lower title trunc substr indent replace repeat trimAll alignLeft alignRight int float64 add div mod addf divf
    mulf max round ceil fromJson date toDate toDateInZone unixToTime unixEpoch default regexReplaceAll count urldecode
    b64dec bytes duration len index slice eq lt printf html js print and or not call""",
)
ARGUMENTS = st.one_of(
    st.sampled_from(
        ["nil", "true", ".", ".nosuch", "$", "__timestamp__", "(fromJson .doc)", "(fromJson .doc).a", "1e308"]
    ),
    st.integers(-3, 99).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text('a1[]{}()<>%+-.:"\\ n$é', max_size=8).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
)


@given(st.sampled_from(FUNCTIONS), st.lists(ARGUMENTS, max_size=4))
def test_any_arguments_are_taken_or_refused(function: str, arguments: list[str]) -> None:
    message = refusal(f"{{{{ {' '.join([function, *arguments])} }}}}")
    assert message is None or message.startswith("template: line:1:")


@given(st.binary(max_size=20))
def test_bytes_that_are_not_utf8_pass_through(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    template = compile_template("{{ __line__ }}{{ print .a }}")
    assert template.render({"a": text}, text, 0) == (data + data).decode("utf-8", "surrogateescape")


def test_long_layouts_are_not_remembered() -> None:
    template = compile_template("{{ printf .a .b }}")
    before = printf._plain_layout.cache_info().currsize
    for number in range(10):
        assert template.render({"a": "%s" * 600 + str(number), "b": "x"}, "", 0).startswith("x%!s(MISSING)")
    assert printf._plain_layout.cache_info().currsize == before
