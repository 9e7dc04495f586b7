"""Templates over columns give what they give of each row, or nothing is said of them."""

import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from log_aggregator.engine.template_columns import template_column
from log_aggregator.logql.template import TemplateError, TemplateRuntimeError, compile_template

PATTERNS = (
    "[0-9]+",
    "a*",
    "",
    "^",
    "$",
    "a|ab",
    "(a)(b)?",
    "\\\\d",
    "\\\\bb",
    ".",
    "é",
    "(",
    "x{2}",
    "(?i)A",
    "\\\\s+$",
    "a",
    "\\\\pL",
)
TEXTS = ("N", "", "$1", "$$", "-", "é", "\\\\", "a", " ", "%s", "%v/", "100%", "%d", "\ufffd", "\\xff")
texts = st.sampled_from(TEXTS).map(lambda text: f'"{text}"')
patterns = st.sampled_from(PATTERNS).map(lambda text: f'"{text}"')
numbers = st.sampled_from(("0", "1", "2", "7", "-1", "1.5", "9999999999", "18446744073709551615"))
fields = st.sampled_from((".a", ".b", ".none"))
operands = fields | fields | texts
functions = st.one_of(
    st.builds("{} {}".format, st.sampled_from(("regexReplaceAll", "regexReplaceAllLiteral")), patterns),
    st.builds("{} {}".format, st.sampled_from(("replace", "substr 0", "substr", "default", "trunc")), numbers | texts),
    st.builds("{} {}".format, st.sampled_from(("trimPrefix", "trimSuffix", "printf", "ToLower", "TrimPrefix")), texts),
    st.sampled_from(
        ("lower", "ToUpper", "upper", "trim", "TrimSpace", "substr 1 2", 'replace "a" "$1"', 'printf "%s-%v" .a')
    ),
)
replacements = st.builds(
    "regexReplaceAll{} {} {} {}".format, st.sampled_from(("", "Literal")), patterns, fields, texts
) | st.builds("replace {} {} {}".format, operands, operands, fields)
calls = (
    replacements
    | st.builds("{} {}".format, functions, operands)
    | st.builds("{} {} {}".format, functions, operands, operands)
)
nested = st.builds("{} ({})".format, functions, calls)
pipelines = st.builds("{} | {}".format, operands, functions) | st.builds(
    "{} | {} | {}".format, fields, functions, functions
)
actions = (calls | nested | pipelines | fields).map(lambda text: f"{{{{ {text} }}}}")
templates = st.lists(actions | st.sampled_from(("x", "-", "é")), min_size=1, max_size=2).map("".join)
plain = st.sampled_from(("", "a", "ab", "aab", "A1b22", " a ", "xx", "/api/12/x", "\t", "%s", "$1", "a b\n"))
values = st.lists(plain, min_size=3, max_size=3) | st.lists(
    plain | st.sampled_from(("é", "aé", "\ufffd", "a" * 20_000)), min_size=3, max_size=3
)


@settings(max_examples=500)
@given(templates, values, values)
def test_columns_give_what_rows_give(text: str, a: list[str], b: list[str]) -> None:
    try:
        template = compile_template(text)
    except TemplateError:
        return
    found = template_column(template, {"a": pl.Series(a), "b": pl.Series(b), "none": pl.Series(["", "", ""])}, 1 << 30)
    event(f"known: {found is not None}")
    if found is None:
        return
    for row, one, other in zip(found, a, b, strict=True):
        try:
            expected = template.render({"a": one, "b": other}, "", 0)
        except TemplateRuntimeError as error:
            expected = f"error: {error}"
        assert row == expected
