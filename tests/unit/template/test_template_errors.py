"""Messages of texts that are no template, and of templates that fail on an entry: those of Go, verbatim."""

from collections.abc import Callable

import pytest

from log_aggregator.logql.template import TemplateError, TemplateRuntimeError, compile_template

SYNTAX = [
    ("{{", "line:1: unclosed action"),
    ("{{ ", "line:1: unclosed action"),
    ("{{ .", 'line:1: illegal number syntax: "."'),
    ("{{.x", "line:1: unclosed action"),
    ("{{ .level\n\n", "line:3: unclosed action started at line:1"),
    ("{{ if\n.a }}\n\n{{ .a | nosuch", 'line:4: function "nosuch" not defined'),
    ("{{}}", "line:1: missing value for command"),
    ("{{ }}", "line:1: missing value for command"),
    ("{{ nosuch }}", 'line:1: function "nosuch" not defined'),
    ("\n{{ 1 }}\n{{ .x | nosuch }}", 'line:3: function "nosuch" not defined'),
    ("{{ .x y }}", 'line:1: function "y" not defined'),
    ("{{ | .x }}", 'line:1: unexpected "|" in command'),
    ('{{ "a" "b" | "c" }}', "line:1: non executable command in pipeline stage 2"),
    ("{{ .a | 1 }}", "line:1: non executable command in pipeline stage 2"),
    ("{{ .a | .b | nil }}", "line:1: non executable command in pipeline stage 3"),
    ("{{ if }}", "line:1: missing value for if"),
    ("{{ if .x }}", "line:1: unexpected EOF"),
    ("{{ range }}x{{ end }}", "line:1: missing value for range"),
    ("{{ with }}{{ end }}", "line:1: missing value for with"),
    ("{{ end }}", "line:1: unexpected {{end}}"),
    ("{{ else }}", "line:1: unexpected {{else}}"),
    ("{{ if 1 }}{{ end }}{{ end }}", "line:1: unexpected {{end}}"),
    ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "line:1: expected end; found {{else}}"),
    ("{{ if 1 }}{{ else 1 }}{{ end }}", 'line:1: unexpected "1" in else'),
    ("{{ end 1 }}", 'line:1: unexpected "1" in end'),
    ("{{ break }}", "line:1: {{break}} outside {{range}}"),
    ("{{ continue }}", "line:1: {{continue}} outside {{range}}"),
    ("{{ range 1 }}{{ break 1 }}{{ end }}", 'line:1: unexpected "1" in {{break}}'),
    ('{{ range 1 }}{{ block "x" . }}{{ break }}{{ end }}{{ end }}', "line:1: {{break}} outside {{range}}"),
    ("{{ if .a }}{{ else with 1 }}{{ end }}", "line:1: unexpected <with> in input"),
    ("{{ $y }}", 'line:1: undefined variable "$y"'),
    ("{{ if $x := 1 }}{{ end }}{{ $x }}", 'line:1: undefined variable "$x"'),
    ("{{ $x, $y := 1 }}", "line:1: too many declarations in command"),
    ("{{ range $x, 1 := . }}{{ end }}", "line:1: range can only initialize variables"),
    ("{{ range $x, $y, $z := . }}{{ end }}", "line:1: too many declarations in range"),
    ("{{ $x := }}", "line:1: missing value for command"),
    ("{{ := }}", 'line:1: unexpected ":=" in command'),
    ("{{ = }}", 'line:1: unexpected "=" in command'),
    ("{{ , }}", 'line:1: unexpected "," in command'),
    ("{{ : }}", "line:1: expected :="),
    ("{{ ( }}", "line:1: unclosed left paren"),
    ("{{ ) }}", "line:1: unexpected right paren"),
    ("{{ () }}", "line:1: missing value for parenthesized pipeline"),
    ("{{ (1 }}", "line:1: unclosed left paren"),
    ("{{ 1) }}", "line:1: unexpected right paren"),
    ("{{ (1) }}{{ (1)) }}", "line:1: unexpected right paren"),
    ("{{ .a@ }}", "line:1: bad character U+0040 '@'"),
    ("{{ .a-b }}", "line:1: bad character U+002D '-'"),
    ("{{ a.b@c }}", 'line:1: function "a" not defined'),
    ("{{ é }}", 'line:1: function "é" not defined'),
    ("{{ § }}", "line:1: unrecognized character in action: U+00A7 '§'"),
    ("{{ .. }}", "line:1: unexpected <.> in operand"),
    ("{{ .a..b }}", "line:1: unexpected <.> in operand"),
    ('{{ "x".y }}', 'line:1: unexpected . after term "\\"x\\""'),
    ("{{ 1.x }}", 'line:1: bad number syntax: "1.x"'),
    ("{{ true.x }}", 'line:1: unexpected . after term "true"'),
    ("{{ nil.x }}", 'line:1: unexpected . after term "nil"'),
    ("{{ ..x }}", 'line:1: unexpected . after term "."'),
    ("{{ 5x }}", 'line:1: bad number syntax: "5x"'),
    ("{{.1x}}", 'line:1: bad number syntax: ".1x"'),
    ("{{ 08 }}", 'line:1: integer overflow: "08"'),
    ("{{ 1__0 }}", 'line:1: illegal number syntax: "1__0"'),
    ("{{ 99999999999999999999 }}", 'line:1: integer overflow: "99999999999999999999"'),
    ("{{ 1e400 }}", 'line:1: illegal number syntax: "1e400"'),
    ("{{ 1 + 2 }}", 'line:1: illegal number syntax: "+"'),
    ('{{ "unterminated }}', "line:1: unterminated quoted string"),
    ("{{ `raw }}", "line:1: unterminated raw quoted string"),
    ("{{ 'x }}", "line:1: unterminated character constant"),
    ("{{ '' }}", "line:1: invalid syntax"),
    ("{{ 'ab' }}", "line:1: malformed character constant: 'ab'"),
    ("{{ '\\q' }}", "line:1: invalid syntax"),
    ('{{ "\\q" }}', "line:1: invalid syntax"),
    ('{{ "\\400" }}', "line:1: invalid syntax"),
    ('{{ "\\ud800" }}', "line:1: invalid syntax"),
    ("{{/* x", "line:1: unclosed comment"),
    ("{{/* x */ a }}", "line:1: comment ends before closing delimiter"),
    ("{{- -}}", 'line:1: illegal number syntax: "-"'),
    ("{{--}}", 'line:1: bad number syntax: "--"'),
    ("{{ define }}", 'line:1: unexpected "}}" in define clause'),
    ("{{ define x }}{{ end }}", 'line:1: unexpected "x" in define clause'),
    ('{{ define "x" }}', "line:1: unexpected EOF"),
    ('{{ define "x" 1 }}{{ end }}', 'line:1: unexpected "1" in define clause'),
    ('{{ define "x" }}{{ else }}{{ end }}', "line:1: unexpected {{else}} in define clause"),
    ('{{ define "x" }}a{{ end }}{{ define "x" }}b{{ end }}', 'line:1: template: multiple definition of template "x"'),
    ('{{ define "line" }}a{{ end }}b', 'line:1: template: multiple definition of template "line"'),
    ('{{ if 1 }}{{ define "x" }}{{ end }}{{ end }}', "line:1: unexpected <define> in command"),
    ("{{ template }}", 'line:1: unexpected "}}" in template clause'),
    ("{{ template x }}", 'line:1: unexpected "x" in template clause'),
    ('{{ template "x" 1 2 | 3 }}', "line:1: non executable command in pipeline stage 2"),
    ('{{ block "x" }}{{ end }}', "line:1: missing value for block clause"),
    ('{{ block "x" . }}{{ else }}{{ end }}', "line:1: unexpected {{else}} in block clause"),
    ('{{ env "HOME" }}', 'line:1: function "env" not defined'),
    ('{{ "a very long string" "b" }}{{ 1 )', "line:1: unexpected right paren"),
]
RUNTIME = [
    ("{{ div 1 0 }}", "1:3", "div 1 0", "error calling div: runtime error: integer divide by zero"),
    ("\n  {{ div 1 0 }}", "2:5", "div 1 0", "error calling div: runtime error: integer divide by zero"),
    ("é{{ div 1 0 }}", "1:5", "div 1 0", "error calling div: runtime error: integer divide by zero"),
    ("{{ .level }}{{ mod 1 0 }}", "1:15", "mod 1 0", "error calling mod: runtime error: integer divide by zero"),
    ("{{ .level.y }}", "1:9", ".level.y", "can't evaluate field y in type string"),
    ("{{ $x := .level }}{{ $x.y }}", "1:23", "$x.y", "can't evaluate field y in type string"),
    ("{{ (fromJson .doc).s.y }}", "1:13", ".doc", "can't evaluate field y in type interface {}"),
    ("{{ (fromJson .doc).n.x }}", "1:13", ".doc", "nil pointer evaluating interface {}.x"),
    ("{{ (fromJson .doc).a.z.y }}", "1:13", ".doc", "nil pointer evaluating interface {}.y"),
    ('{{ range fromJson "[null]" }}{{ .x }}{{ end }}', "1:32", ".x", "nil pointer evaluating interface {}.x"),
    ('{{ range fromJson "[1]" }}{{ .x }}{{ end }}', "1:29", ".x", "can't evaluate field x in type interface {}"),
    ("{{ (1).x }}", "1:4", "1", "can't evaluate field x in type int"),
    ("{{ (nil).x }}", "1:4", "nil", "nil is not a command"),
    ("{{ 1 2 }}", "1:3", "1", "can't give argument to non-function 1"),
    ('{{ "a" .b }}', "1:3", '"a"', 'can\'t give argument to non-function "a"'),
    ("{{ .level 1 }}", "1:3", ".level", "level is not a method but has arguments"),
    ("{{ .level | .order }}", "1:12", ".order", "order is not a method but has arguments"),
    ("{{ . 1 }}", "1:3", ".", "can't give argument to non-function ."),
    ("{{ 1 | .level }}", "1:7", ".level", "level is not a method but has arguments"),
    ("{{ $x := 1 }}{{ $x 1 }}", "1:16", "$x", "can't give argument to non-function $x"),
    ("{{ (1) 2 }}", "1:3", "(1) 2", "can't give argument to non-function 1"),
    ('{{ (lower) "A" }}', "1:3", '(lower) "A"', "can't give argument to non-function lower"),
    ("{{ nil }}", "1:3", "nil", "nil is not a command"),
    ("{{ nil | len }}", "1:3", "nil", "nil is not a command"),
    ("{{ lower }}", "1:3", "lower", "wrong number of args for lower: want 1 got 0"),
    ("{{ lower 1 }}", "1:9", "1", "expected string; found 1"),
    ('{{ lower "a" "b" }}', "1:3", "lower", "wrong number of args for lower: want 1 got 2"),
    ("{{ lower nil }}", "1:9", "nil", "cannot assign nil to string"),
    ("{{ lower 1.5 }}", "1:9", "1.5", "expected string; found 1.5"),
    ("{{ lower true }}", "1:9", "true", "expected string; found true"),
    ('{{ lower (len "x") }}', "1:14", '"x"', "wrong type for value; expected string; got int"),
    ('{{ lower (fromJson "null") }}', "1:19", '"null"', "invalid value; expected string"),
    ('{{ lower (fromJson "1") }}', "1:19", '"1"', "wrong type for value; expected string; got float64"),
    ("{{ lower . }}", "1:9", ".", "wrong type for value; expected string; got map[string]string"),
    ('{{ trunc "a" "b" }}', "1:9", '"a"', 'expected integer; found "a"'),
    ('{{ trunc 1.5 "b" }}', "1:9", "1.5", "expected integer; found 1.5"),
    ('{{ trunc (add 1 1) "bcd" }}', "1:16", "1", "wrong type for value; expected int; got int64"),
    ('{{ round 1.5 "x" }}', "1:13", '"x"', 'expected integer; found "x"'),
    ('{{ round 1.5 1 "x" }}', "1:15", '"x"', 'expected float; found "x"'),
    ("{{ 3.0 | round 1.5 }}", "1:15", "1.5", "wrong type for value; expected int; got float64"),
    ('{{ unixEpoch "x" }}', "1:13", '"x"', 'can\'t handle "x" for arg of type time.Time'),
    ("{{ unixEpoch .level }}", "1:13", ".level", "wrong type for value; expected time.Time; got string"),
    ("{{ unixEpoch nil }}", "1:13", "nil", "cannot assign nil to time.Time"),
    ("{{ 18446744073709551615 }}", "1:3", "18446744073709551615", "18446744073709551615 overflows int"),
    ("{{ max }}", "1:3", "max", "wrong number of args for max: want at least 1 got 0"),
    ("{{ sub 1 }}", "1:3", "sub", "wrong number of args for sub: want 2 got 1"),
    ("{{ printf }}", "1:3", "printf", "wrong number of args for printf: want at least 1 got 0"),
    ("{{ printf 1 }}", "1:10", "1", "expected string; found 1"),
    ("{{ default }}", "1:3", "default", "wrong number of args for default: want at least 1 got 0"),
    ("{{ and }}", "1:3", "and", "wrong number of args for and: want at least 1 got 0"),
    ('{{ template "nope" }}', "1:12", '{{template "nope"}}', 'template "nope" not defined'),
    ("{{ range .level }}{{ end }}", "1:9", ".level", "range can't iterate over error"),
    ("{{ range 1.5 }}{{ end }}", "1:9", "1.5", "range can't iterate over 1.5"),
    ("{{ range true }}{{ end }}", "1:9", "true", "range can't iterate over true"),
    ("{{ range $a, $b := 3 }}{{ end }}", "1:19", "3", "can't use 3 to iterate over more than one variable"),
    (
        "{{ range __timestamp__ }}{{ end }}",
        "1:9",
        "__timestamp__",
        "range can't iterate over 2026-01-15 10:00:35.359587542 +0000 UTC",
    ),
    ("{{ if (div 1 0) }}{{ end }}", "1:7", "div 1 0", "error calling div: runtime error: integer divide by zero"),
    ("{{ print (div 1 0) }}", "1:10", "div 1 0", "error calling div: runtime error: integer divide by zero"),
    ("{{ __timestamp__.Foo }}", "1:3", "__timestamp__", "can't evaluate field Foo in type time.Time"),
    ("{{ __timestamp__.Year 1 }}", "1:3", "__timestamp__", "wrong number of args for Year: want 0 got 1"),
    ("{{ __timestamp__.Format }}", "1:3", "__timestamp__", "wrong number of args for Format: want 1 got 0"),
    ("{{ __timestamp__.Format 1 }}", "1:24", "1", "expected string; found 1"),
    ("{{ __timestamp__.Add (add 1 2) }}", "1:28", "2", "wrong type for value; expected time.Duration; got int64"),
    ("{{ __timestamp__.Add 1.5 }}", "1:21", "1.5", "expected integer; found 1.5"),
    (
        "{{ __timestamp__.In nil }}",
        "1:16",
        "__timestamp__.In",
        "error calling In: time: missing Location in call to Time.In",
    ),
    ("{{ call .level }}", "1:3", "call .level", "error calling call: non-function .level of type string"),
    ("{{ call nil }}", "1:3", "call nil", "error calling call: call of nil"),
    ("{{ call }}", "1:3", "call", "wrong number of args for call: want at least 1 got 0"),
    ("{{ .level | call }}", "1:12", "call", "error calling call: non-function error of type string"),
]


@pytest.mark.parametrize(("template", "message"), SYNTAX)
def test_syntax_errors(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(template)
    assert str(caught.value) == f"template: {message}"


@pytest.mark.parametrize(("template", "place", "node", "message"), RUNTIME)
def test_runtime_errors(render: Callable[[str], str], template: str, place: str, node: str, message: str) -> None:
    with pytest.raises(TemplateRuntimeError) as caught:
        render(template)
    assert str(caught.value) == f'template: line:{place}: executing "line" at <{node}>: {message}'


def test_messages_name_the_template() -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template("{{ nosuch }}", "label")
    assert str(caught.value) == 'template: label:1: function "nosuch" not defined'


def test_runtime_errors_name_the_template_they_are_in() -> None:
    failing = compile_template('{{ define "t" }}{{ div . 0 }}{{ end }}{{ template "t" 1 }}', "label")
    with pytest.raises(TemplateRuntimeError) as caught:
        failing.render({}, "", 0)
    cause = "error calling div: runtime error: integer divide by zero"
    assert str(caught.value) == f'template: label:1:19: executing "t" at <div . 0>: {cause}'


def test_complex_numbers_are_refused() -> None:
    for template in ("{{ 1i }}", "{{ 1+2i }}"):
        with pytest.raises(TemplateError, match="complex numbers are not supported"):
            compile_template(template)
