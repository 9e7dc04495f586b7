"""The functions of Go's text/template itself, with the output of Go."""

from collections.abc import Callable

import pytest

from log_aggregator.logql.template import TemplateRuntimeError

LOGIC = [
    ("{{ and 1 2 }}", "2"),
    ("{{ and 1 0 2 }}", "0"),
    ('{{ and "" 1 }}', ""),
    ("{{ and .level .order }}", "300962"),
    ('{{ or 0 "" .level }}', "error"),
    ("{{ or 1 2 }}", "1"),
    ('{{ or 0 "" }}', ""),
    ("{{ and 0 (div 1 0) }}", "0"),
    ("{{ or 1 (div 1 0) }}", "1"),
    ("{{ 1 | and 0 (div 1 0) }}", "0"),
    ("{{ 5 | and 1 }}", "5"),
    ("{{ 5 | or 0 }}", "5"),
    ("{{ true | or (and 1 0) }}", "true"),
    ("{{ not 1 }}", "false"),
    ("{{ not 0 }}", "true"),
    ("{{ not .nosuch }}", "true"),
    ("{{ not nil }}", "true"),
    ("{{ not . }}", "false"),
    ("{{ eq 1 1 }}", "true"),
    ("{{ eq 1 2 }}", "false"),
    ("{{ eq 1 2 3 1 }}", "true"),
    ('{{ eq "a" "b" "a" }}', "true"),
    ('{{ eq .level "error" "warn" }}', "true"),
    ("{{ eq 1.5 1.5 }}", "true"),
    ("{{ eq true true }}", "true"),
    ("{{ ne 1 2 }}", "true"),
    ('{{ ne "a" "a" }}', "false"),
    ('{{ ne .nosuch "" }}', "false"),
    ("{{ lt 1 2 }}", "true"),
    ("{{ lt 2 2 }}", "false"),
    ('{{ lt "a" "b" }}', "true"),
    ("{{ lt 1.5 2.5 }}", "true"),
    ('{{ lt "é" "z" }}', "false"),
    ("{{ le 2 2 }}", "true"),
    ("{{ le 3 2 }}", "false"),
    ("{{ gt 3 2 }}", "true"),
    ("{{ gt 2 2 }}", "false"),
    ("{{ ge 2 2 }}", "true"),
    ("{{ ge 1 2 }}", "false"),
    ("{{ eq (add 1 2) 3 }}", "true"),
    ('{{ lt (int "7") 8 }}', "true"),
    ('{{ eq (index "abc" 0) 97 }}', "true"),
    ('{{ lt (index "abc" 0) 98 }}', "true"),
    ('{{ gt 98 (index "abc" 0) }}', "true"),
    ('{{ eq (fromJson "null") nil }}', "true"),
    ("{{ eq nil nil }}", "true"),
    ("{{ eq 1 nil }}", "false"),
    ('{{ eq (fromJson "1") 1.0 }}', "true"),
    ('{{ eq (fromJson "\\"a\\"") "a" }}', "true"),
    ('{{ eq (fromJson "true") true }}', "true"),
    ("{{ eq __timestamp__ __timestamp__ }}", "true"),
]
LENGTHS = [
    ('{{ len "" }}', "0"),
    ('{{ len "abc" }}', "3"),
    ('{{ len "日本語" }}', "9"),
    ("{{ len .msg }}", "21"),
    ('{{ len (fromJson "[1,2,3]") }}', "3"),
    ('{{ len (fromJson "{\\"a\\":1}") }}', "1"),
    ("{{ len . }}", "10"),
    ('{{ index "abc" 1 }}', "98"),
    ("{{ index .kanji 0 }}", "230"),
    ('{{ index (fromJson "[10,20]") 1 }}', "20"),
    ('{{ index (fromJson "{\\"k-x\\":\\"v\\"}") "k-x" }}', "v"),
    ('{{ index . "level" }}', "error"),
    ('{{ index . "zz" }}', ""),
    ('{{ index (fromJson "{}") "zz" }}', "<no value>"),
    ('{{ index (fromJson .doc) "a" "b" 1 }}', "2"),
    ('{{ index (fromJson .doc) "a" "b" 2 "c" }}', "<no value>"),
    ('{{ index "abc" (index (fromJson "[1]") 0 | int) }}', "98"),
    ('{{ index "abc" }}', "abc"),
    ('{{ 1 | index "abc" }}', "98"),
    ('{{ slice "hello" 1 3 }}', "el"),
    ('{{ slice "hello" 2 }}', "llo"),
    ('{{ slice "hello" }}', "hello"),
    ('{{ slice "hello" 5 }}', ""),
    ('{{ slice (fromJson "[1,2,3]") 1 2 }}', "[2]"),
    ('{{ slice (fromJson "[1,2,3]") 0 1 2 }}', "[1]"),
    ("{{ slice .kanji 3 6 }}", "本"),
]
PRINTING = [
    ("{{ print }}", ""),
    ("{{ print 1 2 }}", "1 2"),
    ('{{ print "a" "b" }}', "ab"),
    ('{{ print 1 "a" 2 }}', "1a2"),
    ('{{ print .order 1 2 "a" "b" 3 }}', "3009621 2ab3"),
    ("{{ print nil nil }}", "<nil> <nil>"),
    ("{{ print 1.5 true }}", "1.5 true"),
    ("{{ println }}", "\n"),
    ('{{ println 1 "a" nil }}', "1 a <nil>\n"),
    ("{{ println .level }}", "error\n"),
    ("{{ html .msg }}", "he said &#34;hi&#34; &lt;b&gt; &amp; é"),
    ('{{ html "\'" "\\x00" }}', "&#39;�"),
    ("{{ html 1 2 }}", "1 2"),
    ("{{ html nil }}", "&lt;no value&gt;"),
    ("{{ js .msg }}", 'he said \\"hi\\" \\u003Cb\\u003E \\u0026 é'),
    ('{{ js "\\\\ \' \\" = \\n \\x01 \\u2028 日" }}', "\\\\ \\' \\\" \\u003D \\u000A \\u0001 \\u2028 日"),
    ("{{ urlquery .msg }}", "he+said+%22hi%22+%3Cb%3E+%26+%C3%A9"),
    ('{{ urlquery "a/b?c=d e" 1 }}', "a%2Fb%3Fc%3Dd+e1"),
    ('{{ fromJson "broken" }}', "<no value>"),
    ("{{ (fromJson .doc).missing }}", "<no value>"),
    ('{{ (fromJson "null").x }}', "<no value>"),
]
REFUSED = [
    ("{{ eq }}", "1:3", "eq", "wrong number of args for eq: want at least 1 got 0"),
    ("{{ eq 1 }}", "1:3", "eq 1", "error calling eq: missing argument for comparison"),
    ("{{ eq 1 1.0 }}", "1:3", "eq 1 1.0", "error calling eq: incompatible types for comparison: int and float64"),
    ('{{ eq 1 "1" }}', "1:3", 'eq 1 "1"', "error calling eq: incompatible types for comparison: int and string"),
    (
        '{{ eq (fromJson "[1]") (fromJson "[1]") }}',
        "1:3",
        'eq (fromJson "[1]") (fromJson "[1]")',
        "error calling eq: non-comparable type [%!s(float64=1)]: []interface {}",
    ),
    (
        '{{ eq (fromJson "{\\"f\\":1}") (fromJson "[1]") }}',
        "1:3",
        'eq (fromJson "{\\"f\\":1}") (fromJson "[1]")',
        "error calling eq: non-comparable types map[f:%!s(float64=1)]: map[string]interface {}, []interface {}: [1]",
    ),
    (
        "{{ eq . . }}",
        "1:3",
        "eq . .",
        "error calling eq: non-comparable type map[amount:123.77 "
        'doc:{"a":{"b":[1,2,{"c":null}]},"s":"x","t":true,"n":null,"f":1.5,"big":12345678901} empty: '
        'kanji:日本語 level:error msg:he said "hi" <b> & é order:300962 size:10KiB status:500 took:1h30m]: '
        "map[string]string",
    ),
    ("{{ lt true false }}", "1:3", "lt true false", "error calling lt: invalid type for comparison"),
    ('{{ lt 1 "a" }}', "1:3", 'lt 1 "a"', "error calling lt: incompatible types for comparison: int and string"),
    ("{{ lt 1 1.5 }}", "1:3", "lt 1 1.5", "error calling lt: incompatible types for comparison: int and float64"),
    ("{{ gt nil 1 }}", "1:3", "gt nil 1", "error calling gt: invalid type for comparison"),
    ("{{ lt . . }}", "1:3", "lt . .", "error calling lt: invalid type for comparison"),
    ("{{ len 3 }}", "1:3", "len 3", "error calling len: len of type int"),
    ("{{ len nil }}", "1:3", "len nil", "error calling len: reflect: call of reflect.Value.Type on zero Value"),
    ("{{ len (fromJson .doc).n }}", "1:3", "len (fromJson .doc).n", "error calling len: len of nil pointer"),
    ("{{ index nil 1 }}", "1:3", "index nil 1", "error calling index: index of untyped nil"),
    ('{{ index "abc" 3 }}', "1:3", 'index "abc" 3', "error calling index: reflect: string index out of range"),
    ('{{ index "abc" 4 }}', "1:3", 'index "abc" 4', "error calling index: index out of range: 4"),
    ('{{ index "abc" -1 }}', "1:3", 'index "abc" -1', "error calling index: index out of range: -1"),
    (
        '{{ index "abc" "x" }}',
        "1:3",
        'index "abc" "x"',
        "error calling index: cannot index slice/array with type string",
    ),
    ('{{ index "abc" nil }}', "1:3", 'index "abc" nil', "error calling index: cannot index slice/array with nil"),
    (
        '{{ index "abc" 1.0 }}',
        "1:3",
        'index "abc" 1.0',
        "error calling index: cannot index slice/array with type float64",
    ),
    (
        '{{ index (fromJson "[1]") 1 }}',
        "1:3",
        'index (fromJson "[1]") 1',
        "error calling index: reflect: slice index out of range",
    ),
    (
        '{{ index (fromJson "{}") 1 }}',
        "1:3",
        'index (fromJson "{}") 1',
        "error calling index: value has type int; should be string",
    ),
    (
        '{{ index (fromJson "{}") nil }}',
        "1:3",
        'index (fromJson "{}") nil',
        "error calling index: value is nil; should be of type string",
    ),
    (
        '{{ index (fromJson "[null]") 0 1 }}',
        "1:3",
        'index (fromJson "[null]") 0 1',
        "error calling index: index of nil pointer",
    ),
    ("{{ index 5 1 }}", "1:3", "index 5 1", "error calling index: can't index item of type int"),
    ("{{ slice nil }}", "1:3", "slice nil", "error calling slice: slice of untyped nil"),
    ("{{ slice 5 }}", "1:3", "slice 5", "error calling slice: can't slice item of type int"),
    ('{{ slice "abc" 2 1 }}', "1:3", 'slice "abc" 2 1', "error calling slice: invalid slice index: 2 > 1"),
    ('{{ slice "abc" 4 }}', "1:3", 'slice "abc" 4', "error calling slice: index out of range: 4"),
    ('{{ slice "abc" 1 2 3 }}', "1:3", 'slice "abc" 1 2 3', "error calling slice: cannot 3-index slice a string"),
    ('{{ slice "abc" 1 2 3 4 }}', "1:3", 'slice "abc" 1 2 3 4', "error calling slice: too many slice indexes: 4"),
    (
        '{{ slice (fromJson "[1,2,3]") 0 2 1 }}',
        "1:3",
        'slice (fromJson "[1,2,3]") 0 2 1',
        "error calling slice: invalid slice index: 2 > 1",
    ),
    ("{{ slice . 1 }}", "1:3", "slice . 1", "error calling slice: can't slice item of type map[string]string"),
]


@pytest.mark.parametrize(("template", "expected"), LOGIC)
def test_logic_and_comparison(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), LENGTHS)
def test_lengths_and_elements(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), PRINTING)
def test_printing_and_escaping(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "place", "node", "message"), REFUSED)
def test_refused_arguments(render: Callable[[str], str], template: str, place: str, node: str, message: str) -> None:
    with pytest.raises(TemplateRuntimeError) as caught:
        render(template)
    assert str(caught.value) == f'template: line:{place}: executing "line" at <{node}>: {message}'
