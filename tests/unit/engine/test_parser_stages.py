import pytest
from one_entry import parsed, passed

JSON_ERROR = {"__error__": "JSONParserErr"}
NO_OBJECT = JSON_ERROR | {"__error_details__": "Value looks like object, but can't find closing '}' symbol"}

JSON = {
    '{"a":1e3,"b":0.10,"c":"x","t":true,"f":false}': {"a": "1e3", "b": "0.10", "c": "x", "t": "true", "f": "false"},
    '{"a":{"b":{"c":"deep"}},"a_b_c":"flat"}': {"a_b_c": "deep"},
    '{"a":"first","a":"second"}': {"a": "first"},
    '{"a":[1,2],"b":null,"c":{},"d":""}': {"d": ""},
    '{"my-key":1,"1st":2,"a":{"1st":3},"ключ":4}': {"my_key": "1", "_1st": "2", "a_1st": "3", "____": "4"},
    '{"":"no name","a":{"":"inner"}," ":1}': {"a": "inner"},
    '{"app":"inner","o":{"k":1}}': {"app_extracted": "inner", "o_k": "1"},
    '{"a":"\\t\\"\\/","b":"\\u00e9\\ud83d\\ude00","c":"\\ud800","d":"\\udc00\\udc00"}': {
        "a": '\t"/',
        "b": "é😀",
        "c": "",
        "d": " ",
    },
    '{"a":"\ufffd"}': {"a": " "},
    # lenient
    '{"a":1,}': {"a": "1"},
    '{"a":1} trailing {': {"a": "1"},
    '{"a":01,"b":-x"y,"c":2}': {"a": "01", "b": '-x"y', "c": "2"},
    '  {"a" : 1 , "b":2 }  ': {"a": "1", "b": "2"},
    '{"a":"tab\there"}': {"a": "tab\there"},
    '{"a":[{"b":1]},"c":2}': {},
    '{"a":1"b,"c":{"d":2},"e":3"f,"g":{"h":4}}': {"a": '1"b', "c_d": "2", "e": '3"f', "g_h": "4"},
    # broken: what came before stays
    '{"a":1,"b":nul}': {"a": "1"} | JSON_ERROR | {"__error_details__": "Unknown value type"},
    '{"a":1,"b":': {"a": "1"} | JSON_ERROR | {"__error_details__": "Malformed JSON error"},
    '{"a":1': {"a": "1"} | JSON_ERROR | {"__error_details__": "Value is array, but can't find closing ']' symbol"},
    '{"a":"x': JSON_ERROR | {"__error_details__": "Value is string, but can't find closing '\"' symbol"},
    '{"a":[1,2': JSON_ERROR | {"__error_details__": "Value is array, but can't find closing ']' symbol"},
    '{"a":{"b":1': NO_OBJECT,
    '{"a":{"b":1,"c":[}],"d":2}}': (
        {"a_b": "1"} | JSON_ERROR | {"__error_details__": "Value is array, but can't find closing ']' symbol"}
    ),
    '{"a":1 "b":2}': {"a": "1"} | NO_OBJECT,
    '{"\\x":1}': JSON_ERROR | {"__error_details__": "Encountered an invalid escape sequence in a string"},
    "{": JSON_ERROR | {"__error_details__": "Malformed JSON error"},
    "": NO_OBJECT,
    "plain": NO_OBJECT,
    "[1]": NO_OBJECT,
}


@pytest.mark.parametrize(("line", "expected"), JSON.items(), ids=JSON)
def test_json_extracts_all_fields(line: str, expected: dict[str, str]) -> None:
    assert parsed("| json", line) == expected


def test_nesting_is_bounded_by_the_length_of_names_only() -> None:
    def nested(depth: int, inner: str) -> str:
        return '{"a":' * depth + inner + "}" * depth

    assert parsed("| json", nested(500, '{"b":1}')) == {"a_" * 500 + "b": "1"}
    assert parsed("| json", nested(500, '{"b":nul}')) == JSON_ERROR | {"__error_details__": "Unknown value type"}
    assert parsed("| json", nested(40_000, '{"b":1}')) == {}


PATHS = '| json a="a", b="a[1].b[0]", c="a[0].b", d="[1]"'
EMPTY = {"a": "", "b": "", "c": "", "d": ""}
JSON_PATHS = {
    '{"a":[1,{"b":[2]}]}': EMPTY | {"a": '[1,{"b":[2]}]', "b": "2"},
    '{"a":[{"b":"x y"},null]}': EMPTY | {"a": '[{"b":"x y"},null]', "c": "x y"},
    '{"x":{"a":1},"a":{"b":[2]}}': EMPTY | {"a": '{"b":[2]}'},
    '{"a":null}': EMPTY,
    '{"a":"tab\\t"}': EMPTY | {"a": "tab\t"},
    '{"\\u0061":1}': EMPTY | {"a": "1"},
    "[1,2]": EMPTY | {"d": "2"},
    '["x","y"': EMPTY | {"d": "y"},
    '{"a":{"b":1}': EMPTY | {"a": '{"b":1}'},
    '{"b":[1,"a":2}': EMPTY,
    '{"a":nul}': EMPTY | JSON_ERROR | {"__error_details__": "Unknown value type"},
    '"a":1': EMPTY | JSON_ERROR | {"__error_details__": "Malformed JSON error"},
    ' {"a":1}': JSON_ERROR,
    "plain": JSON_ERROR,
    "": {},
}


@pytest.mark.parametrize(("line", "expected"), JSON_PATHS.items(), ids=JSON_PATHS)
def test_json_extracts_paths(line: str, expected: dict[str, str]) -> None:
    assert parsed(PATHS, line) == expected


def test_json_path_to_a_name_that_is_taken() -> None:
    assert parsed('| json app="x", id="x"', '{"x":1}', {"id": "m"}) == {"app_extracted": "1", "id_extracted": "1"}


LOGFMT = {
    'a=1 b="x y" c': {"a": "1", "b": "x y"},
    "a=1 a=2": {"a": "1"},
    "a=1\tb=2\nc=3": {"a": "1", "b": "2", "c": "3"},
    "a= b=2": {"b": "2"},
    'a="x"y b=2': {"a": "x", "b": "2"},
    'a="\\"q\\" \\u00e9\\ud83d\\ude00 \\ud800"': {"a": '"q" é😀  '},
    "a=\ufffd": {"a": " "},
    "a='x y'": {"a": "'x"},
    "1st=5 x-y=6 ключ=7 app=8": {"_1st": "5", "x_y": "6", "____": "7", "app_extracted": "8"},
    # broken pairs are skipped
    "a==1 b=2": {"b": "2"},
    "a=b=c d=1": {"d": "1"},
    "=v a=1": {"a": "1"},
    '"q k"=1 b=2': {"b": "2"},
    'x"y z=1': {"z": "1"},
    'a="\\q" b=1': {"b": "1"},
    'a=1 b="open c=2': {"a": "1"},
    "k\ufffd=1 b=2": {"b": "2"},
    "k\ufffd b=2": {"b": "2"},
    "": {},
    "  ": {},
}


@pytest.mark.parametrize(("line", "expected"), LOGFMT.items(), ids=LOGFMT)
def test_logfmt_extracts_all_pairs(line: str, expected: dict[str, str]) -> None:
    assert parsed("| logfmt", line) == expected


def test_logfmt_keeps_empty_values_if_asked() -> None:
    assert parsed("| logfmt --keep-empty", 'a= b c=""') == {"a": "", "b": "", "c": ""}


STRICT = {
    "a=1 b==2 c=3": "logfmt syntax error at pos 7 : unexpected '='",
    'a=1 "x': "logfmt syntax error at pos 5 : unexpected '\"'",
    'a=1 é"x': "logfmt syntax error at pos 7 : unexpected '\"'",
    'a=1 b="open': "logfmt syntax error at pos 12 : unterminated quoted value",
    'a=1 b="\\q" c': "logfmt syntax error at pos 11 : invalid quoted value",
    "a=1 k\ufffd=2": "logfmt syntax error at pos 9 : invalid key",
}


@pytest.mark.parametrize(("line", "details"), STRICT.items(), ids=STRICT)
def test_strict_logfmt_ends_at_the_first_error(line: str, details: str) -> None:
    assert parsed("| logfmt --strict", line) == {
        "a": "1",
        "__error__": "LogfmtParserErr",
        "__error_details__": details,
    }


LOGFMT_NAMES = {
    "a=1 b=2 c=3": {"x": "1", "b": "2"},
    "a=1 a=2": {"x": "2", "b": ""},
    "b=\ufffd": {"x": "", "b": ""},
    "": {"x": "", "b": ""},
}


@pytest.mark.parametrize(("line", "expected"), LOGFMT_NAMES.items(), ids=LOGFMT_NAMES)
def test_logfmt_extracts_named_pairs(line: str, expected: dict[str, str]) -> None:
    assert parsed('| logfmt x="a", b', line) == expected


UNPACK = {
    '{"_entry":"the line","pod":"p","n":1,"app":"x","pod":"q"}': ("the line", {"pod": "q", "app_extracted": "x"}),
    '{"_entry":"","a":"1"}': ("", {"a": "1"}),
    '{"_entry":"a\\tb"}': ("a\tb", {}),
    '{"_entry":1,"a":"1"}': ('{"_entry":1,"a":"1"}', {}),
    '{"a":"1"}': ('{"a":"1"}', {}),
    "plain": ("plain", JSON_ERROR | {"__error_details__": "expecting json object(6), but it is not"}),
    '{"_entry":"x"': (
        '{"_entry":"x"',
        JSON_ERROR | {"__error_details__": "Value is array, but can't find closing ']' symbol"},
    ),
    "": ("", {}),
}


@pytest.mark.parametrize(("line", "expected"), UNPACK.items(), ids=UNPACK)
def test_unpack_replaces_the_line(line: str, expected: tuple[str, dict[str, str]]) -> None:
    row = passed("| unpack", line)
    assert row is not None
    assert (row.line, row.parsed) == expected


PATTERN = {
    "GET /x 200": {"method": "GET", "path": "/x", "status": "200"},
    "GET /x": {"method": "GET", "path": "/x"},
    "GET": {"method": "GET"},
    "": {},
}


@pytest.mark.parametrize(("line", "expected"), PATTERN.items(), ids=PATTERN)
def test_pattern_captures_what_is_there(line: str, expected: dict[str, str]) -> None:
    assert parsed('| pattern "<method> <path> <status>"', line) == expected


def test_pattern_begins_the_line() -> None:
    assert parsed('| pattern "a <x>"', "a b") == {"x": "b"}
    assert parsed('| pattern "a <x>"', "b a b") == {}


def test_regexp_extracts_named_groups() -> None:
    stage = '| regexp "(?P<x>a)?(b)(?P<app>c)"'
    assert parsed(stage, "..bc") == {"x": "", "app_extracted": "c"}
    assert parsed(stage, "..d") == {}
    assert parsed('| regexp "(?P<1st>a)"', "a") == {"_1st": "a"}


def test_the_first_parser_wins() -> None:
    assert parsed("| json | logfmt", '{"a":"json"}') == {"a": "json"}
    assert parsed("| logfmt | json", "a=logfmt") == {"a": "logfmt"} | NO_OBJECT
    assert parsed('| label_format a="x" | logfmt', "a=logfmt") == {"a": "x"}


def test_parsed_fields_make_way_for_metadata() -> None:
    assert parsed("| json", '{"id":1}', {"id": "m"}) == {"id_extracted": "1"}
    assert parsed("| json", '{"a":{"":1,"b ":{"c":2}}}', {"a": "m", "a_b": "m"}) == {"a__extracted": "1", "a_b_c": "2"}
    assert parsed("| json", '{"a":{"b ":1}}', {"a_b": "m"}) == {"a_b__extracted": "1"}


def test_labels_of_an_answer_have_blanks_for_what_was_no_utf8() -> None:
    assert parsed('| pattern "<x> <y>"', "a\ufffd b") == {"x": "a ", "y": "b"}
    assert parsed('| pattern "<x> <y>" | x=~"a\ufffd" | line_format "{{.x}}"', "a\ufffd b") == {"x": "a ", "y": "b"}


def test_labels_of_an_answer_show_what_a_template_has_cut() -> None:
    assert parsed("| label_format x=`{{trunc 1 __line__}}`, y=`{{trunc 2 __line__}}`", "é") == {"x": "\ufffd", "y": "é"}
    assert parsed("| label_format x=`{{trunc 1 __line__}}` | label_format y=x", "é") == {"y": "\ufffd"}
    assert parsed("| label_format x=`{{trunc 3 __line__}}`", "\U0001f600") == {"x": "\ufffd"}
