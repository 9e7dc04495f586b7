"""What an engine learns about a template without running it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.logql.template import Field, compile_template


@pytest.mark.parametrize(
    ("template", "needs"),
    [
        ("text", set()),
        ("{{ .a }}", {"a"}),
        ("{{ .a }}{{ .b }}{{ .a }}", {"a", "b"}),
        ("{{ .a.b }}", {"a"}),
        ("{{ $.a }}{{ $.b.c }}", {"a", "b"}),
        ("{{ upper .a | printf .b (len (print .c)) }}", {"a", "b", "c"}),
        ("{{ (print .a).x }}", {"a"}),
        ("{{ $x := .a }}{{ $x }}{{ $x.b }}", {"a"}),
        ("{{ if .a }}{{ .b }}{{ else if .c }}{{ .d }}{{ else }}{{ .e }}{{ end }}", {"a", "b", "c", "d", "e"}),
        ("{{ with .a }}{{ . }}{{ .b }}{{ $.c }}{{ else with .d }}{{ . }}{{ else }}{{ .e }}{{ end }}", set("acde")),
        ("{{ range fromJson .a }}{{ . }}{{ .b }}{{ $.c }}{{ else }}{{ .d }}{{ end }}", set("acd")),
        ('{{ define "t" }}{{ . }}{{ .b }}{{ $.c }}{{ end }}{{ template "t" .a }}', {"a"}),
        ('{{ block "t" .a }}{{ . }}{{ .b }}{{ end }}', {"a"}),
        ("{{ __line__ }}{{ __timestamp__ }}", set()),
        ("{{ . }}", None),
        ("{{ $ }}", None),
        ("{{ range $k, $v := . }}{{ $k }}{{ end }}", None),
        ('{{ index . "a-b" }}', None),
        ('{{ define "t" }}{{ .a }}{{ end }}{{ template "t" . }}', None),
        ("{{ with .a }}{{ $ }}{{ end }}", None),
        ("{{ with .a }}x{{ else }}{{ . }}{{ end }}", None),
        ("{{ if .a }}{{ len . }}{{ end }}", None),
        ("{{ (print .).x }}", None),
    ],
)
def test_needs(template: str, needs: set[str] | None) -> None:
    assert compile_template(template).needs == needs


@pytest.mark.parametrize(
    ("template", "uses_line", "uses_timestamp"),
    [
        ("{{ .a }}", False, False),
        ("__line__ {{ .__line__ }}", False, False),
        ("{{ __line__ }}", True, False),
        ("{{ __timestamp__ }}", False, True),
        ("{{ if .a }}{{ with .b }}{{ len (print (__line__ | upper)) }}{{ end }}{{ end }}", True, False),
        ('{{ define "t" }}{{ __timestamp__.Year }}{{ end }}{{ template "t" }}', False, True),
    ],
)
def test_use_of_line_and_timestamp(template: str, uses_line: bool, uses_timestamp: bool) -> None:
    compiled = compile_template(template)
    assert (compiled.uses_line, compiled.uses_timestamp) == (uses_line, uses_timestamp)


@pytest.mark.parametrize(
    ("template", "simple"),
    [
        ("", ()),
        ("text", ("text",)),
        ("{{ .a }}", (Field("a"),)),
        ("<{{.a}}> {{.b}}", ("<", Field("a"), "> ", Field("b"))),
        ("a {{- .b -}} c{{/* comment */}}", ("a", Field("b"), "c")),
        ("{{ .a.b }}", None),
        ("{{ .a | upper }}", None),
        ("{{ .a 1 }}", None),
        ("{{ (.a) }}", None),
        ("{{ $x := .a }}", None),
        ("{{ $.a }}", None),
        ("{{ . }}", None),
        ("{{ __line__ }}", None),
        ("{{ if .a }}{{ .a }}{{ end }}", None),
    ],
)
def test_simple_templates_are_taken_apart(template: str, simple: tuple[str | Field, ...] | None) -> None:
    assert compile_template(template).simple == simple


NAMES = st.sampled_from(["a", "b", "c"])
PARTS = st.one_of(
    NAMES.map(lambda name: f"{{{{ .{name} }}}}"),
    NAMES.map(lambda name: f"{{{{ $.{name} | upper }}}}"),
    st.sampled_from(["text", "{{ if .a }}{{ .b }}{{ end }}", "{{ with .b }}{{ . }}{{ else }}{{ .c }}{{ end }}"]),
)
VALUES = st.dictionaries(NAMES, st.text(max_size=4))


@given(parts=st.lists(PARTS, max_size=5), labels=VALUES)
def test_only_needed_labels_are_read(parts: list[str], labels: dict[str, str]) -> None:
    template = compile_template("".join(parts))
    assert template.needs is not None
    needed = {name: value for name, value in labels.items() if name in template.needs}
    assert template.render(labels, "", 0) == template.render(needed, "", 0)


@given(parts=st.lists(st.one_of(NAMES, st.just("text ")), max_size=5), labels=VALUES)
def test_simple_templates_render_like_others(parts: list[str], labels: dict[str, str]) -> None:
    text = "".join(f"{{{{ .{part} }}}}" if len(part) == 1 else part for part in parts)
    simple, other = compile_template(text), compile_template("{{ $x := 1 }}" + text)
    assert simple.simple is not None
    assert other.simple is None
    assert simple.render(labels, "", 0) == other.render(labels, "", 0)
