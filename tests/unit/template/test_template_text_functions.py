"""The functions on text that Loki adds, with the output of Go."""

from collections.abc import Callable

import pytest

from log_aggregator.logql.template import TemplateRuntimeError

TEXT = [
    ('{{ lower "HeLLo ÀÉ" }}', "hello àé"),
    ('{{ upper "straße é" }}', "STRAßE É"),
    ('{{ ToLower "ABC" }}', "abc"),
    ('{{ ToUpper "abc" }}', "ABC"),
    ('{{ lower "Σας İ" }}', "σας i"),
    ('{{ upper "ŉ ǆ ᾀ" }}', "ŉ Ǆ ᾈ"),
    ('{{ title "hello wORLD foo-bar éa" }}', "Hello WORLD Foo-Bar Éa"),
    ('{{ title "o\'neill a_b c.d 1x ǆ" }}', "O'Neill A_b C.D 1x ǅ"),
    ('{{ title "" }}', ""),
    ('{{ trunc 5 "hello world" }}', "hello"),
    ('{{ trunc -5 "hello world" }}', "world"),
    ('{{ trunc 50 "short" }}', "short"),
    ('{{ trunc 0 "x" }}', ""),
    ('{{ trunc -50 "short" }}', "short"),
    ('{{ trunc 3 "日本語" }}', "日"),
    ('{{ trunc -5 "short" }}', "short"),
    ('{{ trunc 4 "日本語" }}', "日\udce6"),
    ('{{ substr 0 5 "hello world" }}', "hello"),
    ('{{ substr 6 11 "hello world" }}', "world"),
    ('{{ substr -1 3 "hello" }}', "hel"),
    ('{{ substr 2 -1 "hello" }}', "llo"),
    ('{{ substr 2 99 "hello" }}', "llo"),
    ('{{ substr 0 0 "hello" }}', ""),
    ('{{ substr 1 4 "日本語" }}', "\udc97\udca5\udce6"),
    ('{{ print (substr 0 1 "é") (substr 1 2 "é") }}', "é"),
    ('{{ eq (print (substr 0 1 "é") (substr 1 2 "é")) "é" }}', "true"),
    ('{{ contains "he" "hello" }}', "true"),
    ('{{ contains "x" "hello" }}', "false"),
    ('{{ contains "" "" }}', "true"),
    ('{{ hasPrefix "he" "hello" }}', "true"),
    ('{{ hasSuffix "lo" "hello" }}', "true"),
    ('{{ hasPrefix "x" "hello" }}', "false"),
    ('{{ indent 4 "a\\nb" }}', "    a\n    b"),
    ('{{ nindent 2 "a\\nb" }}', "\n  a\n  b"),
    ('{{ indent 0 "x" }}', "x"),
    ('{{ indent 2 "" }}', "  "),
    ('{{ indent 1 "a\\n" }}', " a\n "),
    ('{{ replace "o" "0" "foo boo" }}', "f00 b00"),
    ('{{ "a-b-c" | replace "-" "" }}', "abc"),
    ('{{ replace "" "x" "ab" }}', "xaxbx"),
    ('{{ replace "" "x" "日本" }}', "x日x本x"),
    ('{{ replace "z" "x" "ab" }}', "ab"),
    ('{{ Replace "aaa" "a" "b" 2 }}', "bba"),
    ('{{ Replace "aaa" "a" "b" -1 }}', "bbb"),
    ('{{ Replace "aaa" "a" "b" 0 }}', "aaa"),
    ('{{ Replace "日本" "" "-" 2 }}', "-日-本"),
    ('{{ Replace "ab" "" "-" 99 }}', "-a-b-"),
    ('{{ repeat 3 "ab" }}', "ababab"),
    ('{{ repeat 0 "x" }}', ""),
    ('{{ "x" | repeat 2 }}', "xx"),
    ('{{ trim "  hi \\t\\n" }}', "hi"),
    ('{{ trim "\\u00a0\\u2003x\\u0085" }}', "x"),
    ('{{ TrimSpace "  a " }}', "a"),
    ('{{ trim "\\x1c a" }}', "\x1c a"),
    (
        '[{{ trimAll "$" "$5.00$" }}] [{{ trimAll "" " x " }}] [{{ trimAll "日" "日本日" }}] [{{ Trim "xxaxx" '
        '"x" }}] [{{ TrimLeft "xxaxx" "x" }}] [{{ TrimRight "xxaxx" "x" }}]',
        "[5.00] [ x ] [本] [a] [axx] [xxa]",
    ),
    ('{{ trimPrefix "-" "--x" }}', "-x"),
    ('{{ trimSuffix "-" "x--" }}', "x-"),
    ('{{ TrimPrefix "xxa" "x" }}', "xa"),
    ('{{ TrimSuffix "axx" "x" }}', "ax"),
    ('{{ trimPrefix "" "x" }}', "x"),
    ('{{ trimSuffix "" "x" }}', "x"),
    ('{{ alignLeft 5 "hello world" }}', "hello"),
    ('{{ alignLeft 5 "hi" }}', "hi   "),
    ('{{ alignLeft 4 "日本語のログ" }}', "日本語の"),
    ('{{ alignLeft 0 "x" }}', ""),
    ('{{ alignLeft -1 "x" }}', "x"),
    ('{{ alignLeft 2 "hi" }}', "hi"),
    ('{{ alignRight 5 "hello world" }}', "world"),
    ('{{ alignRight 5 "hi" }}', "   hi"),
    ('{{ alignRight 4 "日本語のログ" }}', "語のログ"),
    ('{{ alignRight 0 "x" }}', ""),
    ('{{ alignRight -1 "x" }}', "x"),
    ("{{ .msg | alignRight 30 }}", '          he said "hi" <b> & é'),
    ('{{ default "-" "" }}', "-"),
    ('{{ default "-" "foo" }}', "foo"),
    ('{{ .nosuch | default "none" }}', "none"),
    ('{{ default "z" 0 }}', "z"),
    ("{{ default 5 false }}", "5"),
    ('{{ default "d" nil }}', "d"),
    ('{{ default "d" }}', "d"),
    ('{{ default "d" (fromJson "[]") }}', "d"),
    ('{{ default "d" __timestamp__.Month }}', "January"),
    ('{{ urlencode "a b&c=d/é?+~-_." }}', "a+b%26c%3Dd%2F%C3%A9%3F%2B~-_."),
    ('{{ urldecode "a%20b%26c+d%C3%A9" }}', "a b&c dé"),
    ('{{ urldecode "%E9" | len }}', "1"),
    ('{{ b64enc "hello" }}', "aGVsbG8="),
    ('{{ b64enc "✓ ü" }}', "4pyTIMO8"),
    ('{{ b64enc "" }}', ""),
    ('{{ b64dec "aGVsbG8=" }}', "hello"),
    ('{{ b64dec "aGVsbG8" }}', "hello"),
    ('{{ b64dec "4pyT" }}', "✓"),
    ('{{ b64dec "YQ" }}', "a"),
    ('{{ b64dec "YWJ" }}', "ab"),
    ('{{ b64dec "" }}', ""),
    ('{{ b64dec "aGVs\\nbG8=" }}', "hello"),
    ('{{ b64dec "!!" }}', "illegal base64 data at input byte 0"),
    ('{{ b64dec "Y" }}', "illegal base64 data at input byte 0"),
    ('{{ b64dec "a-b_" }}', "illegal base64 data at input byte 1"),
    ('{{ b64dec "YQ=" }}', "a"),
    ('{{ b64dec "YQ==YQ==" }}', "illegal base64 data at input byte 4"),
    ('{{ b64dec "=" }}', "illegal base64 data at input byte 0"),
    ('{{ b64dec "Y===" }}', "illegal base64 data at input byte 1"),
    ('{{ b64dec "YQ=x" }}', "illegal base64 data at input byte 2"),
    ('{{ b64dec "YWJj=" }}', "illegal base64 data at input byte 4"),
    ("{{ __line__ }}", 'ts=1 level=info msg="hello wörld" n=42'),
    ("{{ __line__ | len }}", "39"),
    ("{{ __line__ | upper | trunc 4 }}", "TS=1"),
]
REGEX = [
    (
        '{{ regexReplaceAll "(a*)bc" "aabc bc" "${1}X" }} {{ regexReplaceAll "a(x*)b" "-ab-axxb-" "$1W" }} '
        '{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }}',
        "aaX X --- -W-xxW-",
    ),
    (
        '{{ regexReplaceAll "(?P<w>\\\\w+)@(\\\\w+)" "joe@host" "${w} at $2" }} {{ regexReplaceAll '
        '"(?P<w>\\\\w+)@" "joe@host" "$w $x ${9} $ ${ $$1" }}',
        "joe at host joe   $ ${ $1host",
    ),
    (
        '{{ regexReplaceAll "$" "x" "y" }} {{ regexReplaceAll "[aeiou]" "education" "*" }} {{ '
        'regexReplaceAll "" "ab" "-" }} {{ regexReplaceAll "" "日本" "-" }} {{ regexReplaceAll "a*" "baac" '
        '"x" }}',
        "xy *d*c*t**n -a-b- -日-本- xbxcx",
    ),
    (
        '{{ regexReplaceAll "(.)" "ab" "$$1" }} {{ regexReplaceAll "(.)" "ab" "$1$1" }} {{ regexReplaceAll '
        '"(a)|b" "ab" "[$1]" }} {{ regexReplaceAll "^" "x" "y" }} {{ regexReplaceAll "(.)" "ab" "${01}-" }}',
        "$1$1 aabb [a][] yx --",
    ),
    (
        '{{ regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}W" }} {{ regexReplaceAllLiteral "(ts=)" '
        '"ts=5" "timestamp=" }}',
        "-${1}W-${1}W- timestamp=5",
    ),
    ('{{ __line__ | regexReplaceAll "x" "y" }}', "y"),
    ('{{ regexReplaceAll "\\\\d+" __line__ "N" }}', 'ts=N level=info msg="hello wörld" n=N'),
    ('{{ regexReplaceAll "(?i)LEVEL" .level "x" }}', "error"),
    ('{{ count "a|b" "abab" }}', "4"),
    ('{{ count "o" "foo" }}', "2"),
    ('{{ count "" "abc" }}', "4"),
    ('{{ count "" "日本" }}', "3"),
    ('{{ __line__ | count "=" }}', "4"),
    ('{{ count "(?i)E" "Eel" }}', "2"),
    ('{{ count "a*" "baac" }}', "3"),
    ('{{ count "^a" "aaa" }}', "1"),
    ('{{ count "\\\\b" "ab cd" }}', "4"),
]
REFUSED = [
    (
        '{{ substr 3 2 "hello" }}',
        "1:3",
        'substr 3 2 "hello"',
        "error calling substr: runtime error: slice bounds out of range [3:2]",
    ),
    (
        '{{ substr 9 -1 "hello" }}',
        "1:3",
        'substr 9 -1 "hello"',
        "error calling substr: runtime error: slice bounds out of range [9:5]",
    ),
    (
        '{{ substr -1 9 "hello" }}',
        "1:3",
        'substr -1 9 "hello"',
        "error calling substr: runtime error: slice bounds out of range [:9] with length 5",
    ),
    (
        '{{ substr -1 -1 "hello" }}',
        "1:3",
        'substr -1 -1 "hello"',
        "error calling substr: runtime error: slice bounds out of range [:-1]",
    ),
    ('{{ repeat -1 "x" }}', "1:3", 'repeat -1 "x"', "error calling repeat: strings: negative Repeat count"),
    ('{{ indent -1 "x" }}', "1:3", 'indent -1 "x"', "error calling indent: strings: negative Repeat count"),
    ('{{ urldecode "%zz" }}', "1:3", 'urldecode "%zz"', 'error calling urldecode: invalid URL escape "%zz"'),
    ('{{ urldecode "a%2" }}', "1:3", 'urldecode "a%2"', 'error calling urldecode: invalid URL escape "%2"'),
    ('{{ urldecode "%" }}', "1:3", 'urldecode "%"', 'error calling urldecode: invalid URL escape "%"'),
    ('{{ urldecode "%+v" }}', "1:3", 'urldecode "%+v"', 'error calling urldecode: invalid URL escape "%+v"'),
    (
        '{{ count "(" "x" }}',
        "1:3",
        'count "(" "x"',
        "error calling count: error parsing regexp: missing closing ): `(`",
    ),
    (
        '{{ regexReplaceAll "(a" .level "x" }}',
        "1:3",
        'regexReplaceAll "(a" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: missing closing ): `(a`",
    ),
    (
        '{{ regexReplaceAll "a)" .level "x" }}',
        "1:3",
        'regexReplaceAll "a)" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: unexpected ): `a)`",
    ),
    (
        '{{ regexReplaceAll "[a" .level "x" }}',
        "1:3",
        'regexReplaceAll "[a" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: missing closing ]: `[a`",
    ),
    (
        '{{ regexReplaceAll "[z-a]" .level "x" }}',
        "1:3",
        'regexReplaceAll "[z-a]" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid character class range: `z-a`",
    ),
    (
        '{{ regexReplaceAll "*" .level "x" }}',
        "1:3",
        'regexReplaceAll "*" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: missing argument to repetition operator: `*`",
    ),
    (
        '{{ regexReplaceAll "a**" .level "x" }}',
        "1:3",
        'regexReplaceAll "a**" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid nested repetition operator: `**`",
    ),
    (
        '{{ regexReplaceAll "a\\\\" .level "x" }}',
        "1:3",
        'regexReplaceAll "a\\\\" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: trailing backslash at end of expression: ``",
    ),
    (
        '{{ regexReplaceAll "\\\\8" .level "x" }}',
        "1:3",
        'regexReplaceAll "\\\\8" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid escape sequence: `\\8`",
    ),
    (
        '{{ regexReplaceAll "x{2000}" .level "x" }}',
        "1:3",
        'regexReplaceAll "x{2000}" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid repeat count: `{2000}`",
    ),
    (
        '{{ regexReplaceAll "(?=a)" .level "x" }}',
        "1:3",
        'regexReplaceAll "(?=a)" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
    ),
    (
        '{{ regexReplaceAll "(?P<n" .level "x" }}',
        "1:3",
        'regexReplaceAll "(?P<n" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid named capture: `(?P<n`",
    ),
    (
        '{{ regexReplaceAll "\\\\pX" .level "x" }}',
        "1:3",
        'regexReplaceAll "\\\\pX" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid character class range: `\\pX`",
    ),
    (
        '{{ regexReplaceAll "a\\\\Cb" .level "x" }}',
        "1:3",
        'regexReplaceAll "a\\\\Cb" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid escape sequence: `\\C`",
    ),
    (
        '{{ regexReplaceAll "\\xff" .level "x" }}',
        "1:3",
        'regexReplaceAll "\\xff" .level "x"',
        "error calling regexReplaceAll: error parsing regexp: invalid UTF-8: `\udcff`",
    ),
    (
        '{{ regexReplaceAllLiteral "[[:foo:]]" .level "x" }}',
        "1:3",
        'regexReplaceAllLiteral "[[:foo:]]" .level "x"',
        "error calling regexReplaceAllLiteral: error parsing regexp: invalid character class range: `[:foo:]`",
    ),
]


@pytest.mark.parametrize(("template", "expected"), TEXT)
def test_text(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), REGEX)
def test_regular_expressions(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "place", "node", "message"), REFUSED)
def test_refused_arguments(render: Callable[[str], str], template: str, place: str, node: str, message: str) -> None:
    with pytest.raises(TemplateRuntimeError) as caught:
        render(template)
    assert str(caught.value) == f'template: line:{place}: executing "line" at <{node}>: {message}'
