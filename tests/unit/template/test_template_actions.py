"""Actions, pipelines, variables and control structures, with the output of Go."""

from collections.abc import Callable

import pytest

ACTIONS = [
    ("plain text", "plain text"),
    ("{{ .level }}", "error"),
    ("{{.level}}-{{ .order }}", "error-300962"),
    ("[{{ .nosuch }}]", "[]"),
    ("[{{ .empty }}]", "[]"),
    ('{{ "text" }}', "text"),
    ("{{ `raw\\n` }}", "raw\\n"),
    ("{{ 1 }}", "1"),
    ("{{ 1.50 }}", "1.5"),
    ("{{ true }}", "true"),
    ("{{ false }}", "false"),
    ("{{ 0x1F }}", "31"),
    ("{{ 0o17 }}", "15"),
    ("{{ 017 }}", "15"),
    ("{{ 0b101 }}", "5"),
    ("{{ 1_000 }}", "1000"),
    ("{{ 0x_1F }}", "31"),
    ("{{ .5 }}", "0.5"),
    ("{{ 5. }}", "5"),
    ("{{ 1e3 }}", "1000"),
    ("{{ 1e21 }}", "1e+21"),
    ("{{ 0x1p4 }}", "16"),
    ("{{ 0x1.8p1 }}", "3"),
    ("{{ 08.5 }}", "8.5"),
    ("{{ -5 }}", "-5"),
    ("{{ +5 }}", "5"),
    ("{{ -0 }}", "0"),
    ("{{ -0.0 }}", "-0"),
    ("{{ 9223372036854775807 }}", "9223372036854775807"),
    ("{{ -9223372036854775808 }}", "-9223372036854775808"),
    ("{{ 'a' }}", "97"),
    ("{{ '\\n' }}", "10"),
    ("{{ '\\'' }}", "39"),
    ("{{ '日' }}", "26085"),
    ("{{ '\\x41' }}", "65"),
    ("{{ '\\101' }}", "65"),
    ("{{ '\\u00e9' }}", "233"),
    ('{{ "\\x41\\u00e9\\U0001F600\\101\\t\\"" }}', 'Aé😀A\t"'),
    ("{{ (1) }}", "1"),
    ('{{ ((("x"))) }}', "x"),
    ('{{ lower ("ABC") }}', "abc"),
    ('{{ (lower "ABC") }}', "abc"),
    ('{{ print (len "abc") (len (print 1 2)) }}', "3 3"),
    ("{{ .level | upper }}", "ERROR"),
    ("{{ .level | upper | lower | len }}", "5"),
    ('{{ "b" | printf "%s-%s" "a" }}', "a-b"),
    (
        "{{ . }}",
        "map[amount:123.77 "
        'doc:{"a":{"b":[1,2,{"c":null}]},"s":"x","t":true,"n":null,"f":1.5,"big":12345678901} empty: '
        'kanji:日本語 level:error msg:he said "hi" <b> & é order:300962 size:10KiB status:500 took:1h30m]',
    ),
    (
        "{{ $ }}",
        "map[amount:123.77 "
        'doc:{"a":{"b":[1,2,{"c":null}]},"s":"x","t":true,"n":null,"f":1.5,"big":12345678901} empty: '
        'kanji:日本語 level:error msg:he said "hi" <b> & é order:300962 size:10KiB status:500 took:1h30m]',
    ),
    ("{{ $.level }} {{ with .msg }}{{ $.level }}{{ end }}", "error error"),
    ("{{/* comment */}}x{{- /* trimmed */ -}} y", "xy"),
    ("{{/* over\nlines */}}x", "x"),
]
TRIMMING = [
    ('a {{- "b" -}} c', "abc"),
    ("  {{- .level -}}  ", "error"),
    ('x{{ "a" }} {{- " b" }}', "xa b"),
    ("a\n\n{{- 1 }}\n {{ 2 -}} \nb", "a1\n 2b"),
    ("{{ 1 -}}", "1"),
    ("{{- 1 }}", "1"),
    ("{{-1}} {{ -1 }}", "-1 -1"),
    ("a {{- /* c */ -}} b", "ab"),
]
CONTROL = [
    ("{{ if .level }}y{{ else }}n{{ end }}{{ if .nosuch }}y{{ else }}n{{ end }}", "yn"),
    (
        '{{ if 0 }}y{{ else }}n{{ end }}{{ if 0.0 }}y{{ else }}n{{ end }}{{ if "" }}y{{ else }}n{{ end '
        "}}{{ if false }}y{{ else }}n{{ end }}",
        "nnnn",
    ),
    (
        '{{ if -1 }}y{{ end }}{{ if 0.1 }}y{{ end }}{{ if "0" }}y{{ end }}{{ if . }}y{{ end }}{{ if '
        "__timestamp__ }}y{{ end }}",
        "yyyyy",
    ),
    (
        '{{ if fromJson "[]" }}y{{ else }}n{{ end }}{{ if fromJson "{}" }}y{{ else }}n{{ end }}{{ if '
        'fromJson "null" }}y{{ else }}n{{ end }}{{ if fromJson "[0]" }}y{{ else }}n{{ end }}',
        "nnny",
    ),
    ('{{ if eq .level "warn" }}W{{ else if eq .level "error" }}E{{ else }}-{{ end }}', "E"),
    ("{{ if 0 }}a{{ else if 0 }}b{{ else if 1 }}c{{ else }}d{{ end }}", "c"),
    ("{{ if 0 }}a{{ else }}{{ if 1 }}b{{ end }}{{ end }}", "b"),
    ("{{ if $x := .level }}{{ $x }}{{ end }}", "error"),
    ("{{ if $x := .nosuch }}{{ else if not $x }}sees [{{ $x }}]{{ end }}", "sees []"),
    ("{{ with .msg }}has {{ . }}{{ else }}none{{ end }}", 'has he said "hi" <b> & é'),
    ("{{ with .nosuch }}a{{ else with .level }}b{{ . }}{{ else }}c{{ end }}", "berror"),
    ("{{ with .nosuch }}a{{ else }}{{ .level }}{{ end }}", "error"),
    ("{{ with $x := .level }}{{ $x }}{{ . }}{{ end }}", "errorerror"),
    (
        "{{ with fromJson .doc }}{{ .s }} {{ .f }} {{ .a.b }} {{ .missing }}{{ end }}",
        "x 1.5 [1 2 map[c:<nil>]] <no value>",
    ),
    ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $x }}{{ $y }}{{ end }}{{ $x }}", "232"),
    ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
    ("{{ $x := .level }}{{ $x = .order }}{{ $x }}", "300962"),
    ("{{ $x := 5 | print }}{{ $x | len }}", "1"),
]
RANGES = [
    ('{{ range fromJson "[1,2,3]" }}{{ . }},{{ end }}', "1,2,3,"),
    ('{{ range $x := fromJson "[1,2,3]" }}{{ $x }},{{ end }}', "1,2,3,"),
    ('{{ range $i, $x := fromJson "[7,8]" }}{{ $i }}={{ $x }};{{ end }}', "0=7;1=8;"),
    ('{{ range $k, $v := fromJson "{\\"b\\":1,\\"a\\":2}" }}{{ $k }}={{ $v }};{{ end }}', "a=2;b=1;"),
    (
        "{{ range $k, $v := . }}{{ $k }}~{{ len $v }} {{ end }}",
        "amount~6 doc~80 empty~0 kanji~9 level~5 msg~21 order~6 size~5 status~3 took~5 ",
    ),
    ("{{ range 3 }}{{ . }}{{ end }}{{ range $i := 3 }}{{ $i }}{{ end }}", "012012"),
    (
        '{{ range 0 }}x{{ else }}none{{ end }}{{ range -1 }}x{{ else }}none{{ end }}{{ range fromJson "[]" '
        "}}x{{ else }}none{{ end }}",
        "nonenonenone",
    ),
    ("{{ range .nosuch | fromJson }}x{{ else }}{{ .level }}{{ end }}", "error"),
    ('{{ range fromJson "[1,2,3,4]" }}{{ if eq . 3.0 }}{{ break }}{{ end }}{{ . }}{{ end }}', "12"),
    ("{{ range $i := 5 }}{{ if eq $i 2 }}{{ continue }}{{ end }}{{ $i }}{{ end }}", "0134"),
    ("{{ range 2 }}{{ range 3 }}{{ if eq . 1 }}{{ break }}{{ end }}{{ . }}{{ end }};{{ end }}", "0;0;"),
    ('{{ range $x := fromJson "[[1,2],[3]]" }}{{ range $x }}{{ . }}{{ end }}|{{ end }}', "12|3|"),
    ('{{ range fromJson "[null,1]" }}{{ . }}{{ if . }}y{{ else }}n{{ end }}{{ end }}', "<no value>n1y"),
    ('{{ $n := 0 }}{{ range $t := fromJson "[1,2,3]" }}{{ $n = add $n 1 }}{{ end }}{{ $n }}', "3"),
    ('{{ $i := 0 }}{{ $v := 0 }}{{ range $i, $v = fromJson "[7,8]" }}{{ end }}{{ $i }}{{ $v }}', "18"),
    ('{{ $x := 1 }}{{ range $x := fromJson "[7,8]" }}{{ $x }}{{ end }}{{ $x }}', "781"),
    ("{{ range 3 }}{{ $y := . }}{{ $y }}{{ end }}", "012"),
    ("{{ range __timestamp__.Month }}{{ . }},{{ end }}", "%!Month(0),"),
]
TEMPLATES = [
    (
        '{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" .level }}{{ template "t" }}{{ template "t" 5 }}',
        "[error][<no value>][5]",
    ),
    ('{{ template "t" . }}{{ define "t" }}{{ .level }}{{ $.order }}{{ end }}', "error300962"),
    ('{{ block "b" .level }}({{ . }}){{ end }}{{ template "b" .order }}', "(error)(300962)"),
    (
        '{{ define "r" }}{{ if gt . 0 }}{{ . }}{{ template "r" (int (sub . 1)) }}{{ end }}{{ end }}{{ '
        'template "r" 5 }}',
        "54321",
    ),
    ('{{ define "x" }}  {{ end }}{{ define "x" }}b{{ end }}{{ template "x" }}', "b"),
    ('{{ define "line" }}whole{{ end }}', "whole"),
    (r'{{ define "\xff" }}a{{ end }}{{ template "\xff" }}', "a"),
    ('{{ $x := 1 }}{{ define "t" }}{{ $x := 2 }}{{ $x }}{{ end }}{{ template "t" }}{{ $x }}', "21"),
]


@pytest.mark.parametrize(("template", "expected"), ACTIONS)
def test_actions(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), TRIMMING)
def test_spaces_are_trimmed_at_markers(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), CONTROL)
def test_conditions_and_variables(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), RANGES)
def test_ranges(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), TEMPLATES)
def test_templates_within_templates(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected
