"""Entries and queries for which columns once told, or might tell, another story than rows."""

import tracemalloc
from dataclasses import replace

import pytest

import both_ways
from both_ways import (
    FORMS,
    Entry,
    Form,
    add_columns,
    assert_same,
    batches_of,
    by_columns,
    by_rows,
    leaf_of,
    log_by_columns,
    log_by_rows,
)
from log_aggregator.engine import label_plan, template_columns
from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.label_reader import LinesNeeded
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.log_plan import plan_log
from log_aggregator.engine.log_rows import RowChooser
from log_aggregator.engine.order import Direction
from log_aggregator.engine.query_memory import QueryMemory, TooManySeries
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.windows import Windows
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE, TIMESTAMP

# The streams of `both_ways`.
SHOP, SHOP_PROD, WITH_LEVEL, WITH_N, WITH_KIND = range(5)
MS = 1_000_000  # nanoseconds
TIMES = Steps(10 * MS, 40 * MS, 10 * MS)
LONG = "k" * 1024


def entry(stream: int, time_ms: int, line: str, **metadata: str) -> Entry:
    return Entry(stream, time_ms * MS, line, metadata)


CASES: dict[str, tuple[str, list[Entry]]] = {
    "a label that is not kept is not shown where it is set again": (
        'sum by (app) (count_over_time({app="x"} | keep level | label_format app=`{{.level}}` [10ms]))',
        [entry(SHOP, 5, "x"), entry(WITH_LEVEL, 5, "x")],
    ),
    "nor is one that is dropped, whether a template or a rename sets it": (
        'sum by (app, env) (rate({app="x"} | json | drop app, env | label_format app=`{{.n}}!`, env=n [10ms]))',
        [entry(SHOP_PROD, 5, '{"n":5}'), entry(SHOP, 5, '{"n":5}')],
    ),
    "templates see the labels before their stage": (
        'sum by (n, d) (count_over_time({app="x"} | json | label_format n=`{{.d}}1`, d=`{{.n | ToUpper}}` [10ms]))',
        [entry(SHOP, 5, '{"n":"a","d":"b"}'), entry(SHOP, 5, '{"n":"a"}')],
    ),
    "a label that is made hides those of stream, metadata and line": (
        'sum by (app, n, d) (count_over_time({app="x"} | json | label_format app=`{{.n}}!`, n=`{{.d}}!` [10ms]))',
        [entry(SHOP, 5, '{"app":"a","n":"b","d":"c"}'), entry(WITH_N, 5, '{"n":"b"}', n="7", d="8")],
    ),
    "rows of which a template fails have its error": (
        'sum by (n, __error__) (count_over_time({app="x"} | json | label_format n=`{{div 6 (int .n)}}` [10ms]))',
        [entry(SHOP, 5, '{"n":2}'), entry(SHOP, 5, '{"n":0}'), entry(SHOP, 5, "x")],
    ),
    "a parser gives up lines by a filter of a label that is made, where it finds a field of the name": (
        'sum by (n) (count_over_time({app="x"} | json | label_format n=`{{.d}}!` | n="b!" [10ms]))',
        [entry(SHOP, 5, '{"n":"a","d":"b"}'), entry(SHOP, 5, '{"d":"b","n":"a"}'), entry(SHOP, 5, '{"d":"b"}')],
    ),
    "a label that is made may be unwrapped": (
        'sum by (app) (sum_over_time({app="x"} | json | label_format n=`{{.n}}KB` | unwrap bytes(n) [10ms]))',
        [entry(SHOP, 5, '{"n":2}'), entry(WITH_N, 5, '{"n":3}'), entry(SHOP, 5, '{"n":""}'), entry(SHOP, 5, '{"d":1}')],
    ),
    "so it may where series have it, too": (
        'sum by (n) (sum_over_time({app="x"} | json | label_format n=`{{.d}}0` | unwrap n [10ms]))',
        [entry(SHOP, 5, '{"d":2}'), entry(SHOP, 5, '{"d":3}')],
    ),
    "and where the line has a field of its name beside one of the stream": (
        'max_over_time({app="x"} | logfmt | label_format level=`{{.n}}0` | unwrap level [10ms])',
        [entry(WITH_LEVEL, 5, "level=warn n=2"), entry(WITH_LEVEL, 5, "level=error n=3")],
    ),
    "what is replaced in a label may be another": (
        'sum by (d) (count_over_time({app="x"} | json | label_format d=`{{ replace .n "-" .level }}` [10ms]))',
        [entry(SHOP, 5, '{"n":"a","level":"bad"}'), entry(SHOP, 5, '{"level":"bad"}')],
    ),
    "numbers in templates that are no integers of Go fail": (
        'sum by (d, n) (count_over_time({app="x"} | json | label_format d=`{{ trunc 18446744073709551615 .level }}`, '
        "n=`{{ substr 0 9223372036854775808 .level }}` [10ms]))",
        [entry(SHOP, 5, '{"level":"bad"}')],
    ),
    "cut characters and U+FFFD in what a template gives are for rows": (
        'sum by (n) (count_over_time({app="x"} | json | label_format n=`{{trunc 1 .d}}` [10ms]))',
        [entry(SHOP, 5, '{"d":"é"}'), entry(SHOP, 5, '{"d":"\ufffd"}'), entry(SHOP, 5, '{"d":"ab"}')],
    ),
    "logfmt with expressions ends with the first pair, where it was asked for no other label": (
        'sum by (level) (count_over_time({app="x"} | logfmt level, n [10ms]))',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 5, "n=5 level=info"), entry(SHOP, 5, "d=5 level=info")],
    ),
    "it passes over pairs whose keys are no labels and are not asked for": (
        'sum by (made) (count_over_time({app="x"} | logfmt made="level" [10ms]))',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 5, "n=5")],
    ),
    "it reads them, if they are asked for": (
        'sum by (made, level) (count_over_time({app="x"} | logfmt made="level", n [10ms]))',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 5, "n=5 level=info")],
    ),
    "its labels may be those of stream and metadata": (
        'sum by (level, level_extracted, n) (count_over_time({app="x"} | logfmt level, n, d [10ms]))',
        [entry(WITH_LEVEL, 5, "d=1 level=warn n=5"), entry(SHOP, 5, "level=warn n=5 d=1", n="6")],
    ),
    "it is filtered and unwrapped": (
        'sum by (level) (sum_over_time({app="x"} | logfmt level, n, x="d" | x != "1" | unwrap n [10ms]))',
        [entry(SHOP, 5, "level=info n=5 d=1"), entry(SHOP, 5, "d=2 n=5 level=info"), entry(SHOP, 5, "n=5 level=a")],
    ),
    "a filter before the parser is tried again on labels that are known of no shape": (
        'sum(count_over_time({app="x"} | level != "warn" | json [10ms]))',
        [*(entry(SHOP, 5, f'{{"n":"{n}"}}') for n in range(9)), entry(SHOP, 5, r'{"n":"\"","level":"warn"}')],
    ),
    "a line without a shape has labels that no shape has": (
        'count_over_time({app="x"} | logfmt [10ms])',
        [*(entry(SHOP, 5, f"n={n}") for n in range(9)), entry(SHOP, 5, "level n=5 new=x")],
    ),
    "a failure whose series cannot be read back": (
        'sum(count_over_time({app="x"} | app != ip("1.2.3.0/24") | json [10ms]))',
        [entry(SHOP, 5, '{"n":"5"}'), entry(SHOP, 5, "", trace="\ufffd")],
    ),
    "words of an access log, in which a line is none": (
        'sum by (method, status) (rate({app="x"} | pattern `<_> - - [<_>] "<method> <_>" <status> <_>` [10ms]))',
        [
            *(
                entry(SHOP, 5, f'10.0.0.{n} - - [1/Jan +0000] "{("GET", "PUT")[n % 2]} /{n} x" {200 + n % 3} {n}')
                for n in range(12)
            ),
            entry(SHOP, 5, r'::1 - - [1/Jan +0000] "\x16\x03" 400 0 "-"'),
        ],
    ),
    "series of all that a pattern captures": (
        'count_over_time({app="x"} | pattern "<level> <_> <n>" | n != "6" [10ms])',
        [
            *(entry(stream, 5, "info a 5") for stream in (SHOP, WITH_LEVEL, WITH_N)),
            entry(SHOP, 5, "x"),
            entry(SHOP, 5, "a b 6"),
        ],
    ),
    "series of all that expressions extract, but for one": (
        'sum without (app, level) (count_over_time({app="x"} | json n, level, x="a.b" [10ms]))',
        [entry(SHOP, 5, '{"n":5,"level":"a"}'), entry(SHOP, 5, '{"a":{"b":"y"}}', n="7"), entry(WITH_N, 5, '{"n":5}')],
    ),
    "series of all fields": (
        'count_over_time({app="x"} | logfmt | level = "info" [10ms])',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 5, "level=warn n=5"), entry(WITH_LEVEL, 5, "d=1 level=info")],
    ),
    "series of all fields, some of which failed": (
        'count_over_time({app="x"} | json | __error__ != "" [10ms])',
        [entry(SHOP, 5, '{"n":5}'), entry(SHOP, 5, "no JSON", trace="x"), entry(SHOP, 5, '{"n":5')],
    ),
    "a filter behind keep is tried when the parser finds its field": (
        'count_over_time({app="x"} | logfmt | keep n | level != "info" [10ms])',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 5, "level=warn n=5"), entry(SHOP, 5, "n=5")],
    ),
    "what is left of an error shows where another parser has found labels": (
        'count_over_time({app="x"} | json | drop __error__ | logfmt | keep app [10ms])',
        [entry(SHOP, 5, "level=info"), entry(SHOP, 5, "plain text"), entry(SHOP, 5, "")],
    ),
    "series of all fields but the one that is unwrapped": (
        'max_over_time({app="x"} | json | n > 1 | unwrap n [10ms])',
        [
            *(entry(SHOP, 5, f'{{"level":"{level}","n":{n}}}') for level in "ab" for n in (1, 2, 3)),
            entry(WITH_N, 5, "{}"),
        ],
    ),
    "a capture without a name is no label": (
        'sum by (_) (count_over_time({app="x"} | pattern "<_> <level>" [10ms]))',
        [entry(SHOP, 5, "a info")],
    ),
    "two captures for one label": (
        'sum by (level_extracted) (count_over_time({app="x"} | pattern "<level_extracted> <level>" [10ms]))',
        [entry(WITH_LEVEL, 5, "a b")],
    ),
    "a capture of bytes that were no UTF-8": (
        'sum by (level) (count_over_time({app="x"} | pattern "<level> <_>" [10ms]))',
        [entry(SHOP, 5, "a\ufffd b"), entry(SHOP, 5, "a b")],
    ),
    "a capture named as errors are": (
        'sum by (__error__) (count_over_time({app="x"} | pattern "<__error__> <level>" | __error__ > 1 [10ms]))',
        [entry(SHOP, 5, "5 b")],
    ),
    "groups that took no part, or were not found": (
        'sum by (level, n) (count_over_time({app="x"} | regexp `(?P<level>[a-z]+)?=(?P<n>[0-9])?` [10ms]))',
        [*(entry(SHOP, 5, line) for line in ("a=5", "a=", "=5", "=", "a", "")), entry(WITH_N, 5, "a=5")],
    ),
    "a template that fails leaves the line to a parser": (
        'sum(count_over_time({app="x"} | line_format `{{div .n 0}}` | logfmt | level!="" | drop __error__ [10ms]))',
        [entry(SHOP, 5, "level=info"), entry(SHOP, 5, ""), entry(WITH_N, 5, "level=warn")],
    ),
    "a parser that fails on a line that was made, and the labels that the error then has": (
        'sum by (__error__) (count_over_time({app="x"} | json n | line_format `{{.level}}` | json [10ms]))',
        [entry(SHOP_PROD, 5, '{"level":"info","n":5}'), entry(WITH_LEVEL, 5, '{"n":6}', trace="t")],
    ),
    "a packed line that was made and is none": (
        'sum by (level) (count_over_time({app="x"} | json | line_format `{{.n}}` | __error__="" | unpack [10ms]))',
        [entry(SHOP_PROD, 5, '{"level":"info","n":5}')],
    ),
    "a packed entry is no label": (
        'sum by (_entry) (count_over_time({app="x"} | unpack | logfmt | _entry!="1" [10ms]))',
        [entry(SHOP, 5, '{"_entry":"level=info"}'), entry(SHOP, 6, '{"_entry":"_entry=1"}')],
    ),
    "a packed line whose entry is there once more, under a key with escapes": (
        'sum by (level) (bytes_over_time({app="x"} | unpack [10ms]))',
        [entry(SHOP, 5, r'{"_entry":"text","\u005fentry":false}'), entry(SHOP, 6, '{"_entry":"é"}')],
    ),
    "a line without keys is none that keeps one without a value": (
        'sum by (x) (count_over_time({app="x"} | logfmt --keep-empty [10ms]))',
        [entry(SHOP, 5, "made d="), entry(SHOP, 6, "x= made"), entry(SHOP, 7, "")],
    ),
    "a filter that a parser of a line that was made tries again": (
        'count_over_time({app="x"} | logfmt | level="" | keep n | line_format `level={{.n}}` | logfmt [10ms])',
        [entry(SHOP, 5, "n=5"), entry(SHOP, 5, "d=5")],
    ),
    "bytes of lines that are made of labels": (
        'sum by (n) (bytes_over_time({app="x"} | json | line_format `{{.level}}é{{.n}}` |= "é" | keep n [10ms]))',
        [entry(SHOP, 5, '{"level":"é","n":5}'), entry(SHOP, 6, '{"n":5}'), entry(SHOP, 5, '{"level":"x"}')],
    ),
    "bytes of lines that are made where nothing is parsed": (
        'sum by (app) (bytes_rate({app="x"} | line_format `{{.env}}{{.trace}}` [10ms]))',
        [entry(SHOP_PROD, 5, "a"), entry(SHOP_PROD, 6, "bcd", trace="t"), entry(SHOP_PROD, 7, "")],
    ),
    "labels of expressions beside labels of the stream, in entries that a later parser fails to read": (
        'sum by (d) (count_over_time({app="x"} | json level | __error__!="1" | line_format `x` | unpack [10ms]))',
        [entry(WITH_LEVEL, 5, '{"level":"404","d":"1"}')],
    ),
    "labels of two parsers, of which the first that is found counts": (
        'sum by (level, n) (count_over_time({app="x"} | json | line_format `{{.log}}` | json | level="info" [10ms]))',
        [
            entry(SHOP, 5, r'{"level":"info","log":"{\"level\":\"warn\",\"n\":1}"}'),
            entry(SHOP, 5, r'{"level":"warn","log":"{\"level\":\"info\",\"n\":2}"}'),
            entry(SHOP, 5, r'{"log":"{\"level\":\"info\",\"n\":3}"}'),
            entry(SHOP, 5, r'{"level":"info","log":"{\"n\":4}"}'),
        ],
    ),
    "labels of an expression that are empty, so that the next parser does not find them": (
        'sum by (level) (count_over_time({app="x"} | json level, log | line_format `{{.log}}` | json | level="" '
        "[10ms]))",
        [entry(SHOP, 5, r'{"log":"{\"level\":\"info\"}"}'), entry(SHOP, 5, r'{"level":"a","log":"{\"level\":\"b\"}"}')],
    ),
    "and are unwrapped": (
        'sum by (d) (sum_over_time({app="x"} | json n, log | line_format `{{.log}}` | json | unwrap n [10ms]))',
        [entry(SHOP, 5, r'{"log":"{\"n\":5}"}'), entry(SHOP, 5, r'{"n":1,"log":"{\"n\":6,\"d\":2}"}')],
    ),
    "a value of either of two parsers, the second of which may fail": (
        'sum by (d) (sum_over_time({app="x"} | json | line_format `{{.log}}` | json | unwrap n | __error__="" [10ms]))',
        [
            entry(SHOP, 5, r'{"n":1,"log":"text"}'),
            entry(SHOP, 5, r'{"n":2,"log":"{\"d\":1}"}'),
            entry(SHOP, 5, r'{"log":"{\"n\":4,\"d\":1}"}'),
        ],
    ),
    "what fails a comparison behind a filter of errors": (
        'max by (level) (max_over_time({app="x"} | json | line_format `{{.log}}` | json | __error__="" | n > 5 '
        "| unwrap d [10ms]))",
        [entry(SHOP, 5, r'{"log":"{\"n\":\"a\",\"d\":1}"}'), entry(SHOP, 5, r'{"log":"{\"n\":6,\"d\":1}"}')],
    ),
    "errors that are shown": (
        'sum by (__error__, level) (count_over_time({app="x"} | json | line_format `{{.log}}` | json [10ms]))',
        [entry(SHOP, 5, r'{"a":1,"log":"text"}'), entry(SHOP, 5, r'{"a":2,"log":"{\"level\":\"info\"}"}')],
    ),
    "errors behind a filter that does not leave them out": (
        'sum by (__error__) (count_over_time({app="x"} | json | line_format `{{.log}}` | json | level="" [10ms]))',
        [entry(SHOP, 5, r'{"a":1,"log":"text"}'), entry(WITH_LEVEL, 5, r'{"a":1,"log":"text"}')],
    ),
    "errors that stay where another label is dropped": (
        'sum by (__error__) (count_over_time({app="x"} | json | line_format `{{.log}}` | json | drop level [10ms]))',
        [entry(SHOP, 5, '{"n":1,"log":"text"}'), entry(SHOP, 5, '{"n":2,"log":"text"}')],
    ),
    "errors that are dropped": (
        'sum by (level) (count_over_time({app="x"} | json | line_format `{{.log}}` | json | drop __error__ [10ms]))',
        [entry(SHOP, 5, r'{"level":"a","log":"text"}'), entry(SHOP, 5, r'{"a":2,"log":"{\"level\":\"info\"}"}')],
    ),
    "and of entries whose labels all count": (
        'count_over_time({app="x"} | json log | line_format `x` | json d | drop __error__, __error_details__ [10ms])',
        [entry(SHOP, 5, '{"log":"a"}')],
    ),
    "a line break in a label of the first parser": (
        'sum by (msg) (count_over_time({app="x"} | logfmt | line_format `{{.log}}` | logfmt | drop msg="x" [10ms]))',
        [entry(SHOP, 5, r'msg="a\nb" log="level=info"'), entry(SHOP, 5, r'msg="a b" log="level=\"a\nb\""')],
    ),
    "a label that is dropped, and then found once more as metadata does not hide it": (
        'sum by (n) (count_over_time({app="x"} | json | drop level | line_format `{{.log}}` | json | level="info" '
        "[10ms]))",
        [
            entry(SHOP, 5, r'{"level":"a","log":"{\"level\":\"info\"}"}', level="b"),
            entry(SHOP, 5, r'{"level":"a","log":"{}"}'),
        ],
    ),
    "a filter between two parsers that the second tries again": (
        'sum(count_over_time({app="x"} | json | level!="info" | line_format `{{.log}}` | json [10ms]))',
        [entry(SHOP, 5, r'{"log":"{\"level\":\"info\"}"}'), entry(SHOP, 5, r'{"log":"{\"level\":\"warn\"}"}')],
    ),
    "a comparison behind errors that were dropped": (
        'sum by (__error__) (count_over_time({app="x"} | json | line_format `{{.log}}` | json | drop __error__ | n > 5 '
        "[10ms]))",
        [entry(SHOP, 5, r'{"n":"a","log":"text"}'), entry(WITH_N, 5, r'{"n":"b","log":"text"}')],
    ),
    "a parser without columns that reads a made line, too": (
        'sum by (n, d) (count_over_time({app="x"} | json | line_format `{{.log}}` | pattern `<level>=<n>` | json d '
        "[10ms]))",
        [entry(SHOP, 5, r'{"log":"level=5"}')],
    ),
    "a value that the second of two parsers finds, where the first finds nothing": (
        'sum by (d) (sum_over_time({app="x"} | logfmt | pattern `<n> <_>` | unwrap n [10ms]))',
        [entry(SHOP, 5, "5 x"), entry(SHOP, 5, "6 d=7")],
    ),
    "three parsers of one line": (
        'sum by (level, n, d) (count_over_time({app="x"} | pattern `<d> <_>` | logfmt | json | level="info" [10ms]))',
        [entry(SHOP, 5, "a level=info n=1"), entry(SHOP, 5, "b level=info n=2"), entry(SHOP, 5, "c level=warn")],
    ),
    "a filter of a label that is not kept, tried before it goes": (
        'count_over_time({app="x"} | json | keep level | n!="5" [10ms])',
        [entry(SHOP, 5, '{"level":"info","n":5}'), entry(SHOP, 5, '{"level":"info","n":6}')],
    ),
    "a key that ends in white space": (
        'sum by (level_extracted, level__extracted) (count_over_time({app="x"} | json [10ms]))',
        [entry(stream, 5, '{" ":{"level ":1}}') for stream in (SHOP, WITH_LEVEL)],
    ),
    "a group that took no part and is unwrapped": (
        'sum by (level) (sum_over_time({app="x"} | regexp `(?P<level>[a-z]+)=(?P<n>[0-9])?` | unwrap n [10ms]))',
        [*(entry(SHOP, 5, line) for line in ("a=5", "a=", "b", "b=2")), entry(SHOP, 5, "a=5", n="7")],
    ),
    "two groups for one label": (
        'sum by (_1) (count_over_time({app="x"} | regexp `(?P<1>a)?(?P<_1>b)?$` [10ms]))',
        [entry(SHOP, 5, "a"), entry(SHOP, 5, "b"), entry(SHOP, 5, "ab")],
    ),
    "two groups for one label, as one is that of the stream": (
        'sum by (level_extracted) (count_over_time({app="x"} | regexp `(?P<level_extracted>.) (?P<level>.)` [10ms]))',
        [entry(WITH_LEVEL, 5, "a b")],
    ),
    "a group of bytes that were no UTF-8": (
        'sum by (level) (count_over_time({app="x"} | regexp "(?P<level>.+) " [10ms]))',
        [entry(SHOP, 5, "a\ufffd b"), entry(SHOP, 5, "a b")],
    ),
    "a group named as errors are": (
        'sum by (__error__) (count_over_time({app="x"} | regexp "(?P<__error__>.)" | __error__ > 1 [10ms]))',
        [entry(SHOP, 5, "5 b")],
    ),
    "groups that nothing asks for": (
        'sum(count_over_time({app="x"} | regexp "(?P<a>.)" | drop a [10ms]))',
        [entry(SHOP, 5, "5 b"), entry(SHOP, 5, "")],
    ),
    "a stream label with underscores before its name": (
        'sum by (__kind__) (count_over_time({app="x"} [10ms]))',
        [entry(WITH_KIND, 5, ""), entry(SHOP, 6, "")],
    ),
    "a field behind a label of all streams": (
        'sum by (app_extracted) (count_over_time({app="x"} | json [10ms]))',
        [entry(SHOP, 5, '{"app":"own"}')],
    ),
    "two fields for one label": (
        'sum by (level_extracted) (count_over_time({app="x"} | json [10ms]))',
        [
            entry(WITH_LEVEL, 5, '{"level_extracted":"first","level":"second"}'),
            entry(WITH_LEVEL, 6, '{"level":"first","level_extracted":"second"}'),
        ],
    ),
    "an unwrapped label of the metadata": (
        'max_over_time({app="x"} | json | unwrap n [10ms]) by (app)',
        [entry(SHOP, 5, '{"n":5}', n="7"), entry(SHOP, 15, '{"n":5}')],
    ),
    "an unwrapped label of the stream": (
        'max_over_time({app="x"} | json | unwrap n [10ms]) by (app)',
        [entry(WITH_N, 5, '{"n":7}'), entry(SHOP, 5, '{"n":6}')],
    ),
    "an unwrapped label that a field was renamed to": (
        'max_over_time({app="x"} | json | unwrap n_extracted [10ms]) by (app)',
        [entry(WITH_N, 5, '{"n":7}'), entry(SHOP, 5, '{"n":6}')],
    ),
    "an error of an entry without the unwrapped label": (
        'max_over_time({app="x"} | json | d > 5 | unwrap n [10ms]) by (app)',
        [entry(SHOP, 5, '{"d":"odd"}'), entry(SHOP, 5, '{"d":"7","n":3}')],
    ),
    "an error of an entry that what its columns do not tell filters out": (
        'sum(count_over_time({app="x"} | logfmt | app > 5 | level="" [10ms]))',
        [entry(SHOP, 5, "level=info alone"), entry(SHOP, 5, "level=info")],
    ),
    "a comparison that fails before an address is looked at, or after": (
        'sum(count_over_time({app="x"} | json | d > 5 | level = ip("1.2.3.4") [10ms]))',
        [entry(SHOP, 5, '{"level":"9.9.9.9","d":"odd"}')],
    ),
    "white space around a key": (
        'sum by (level, a_level) (count_over_time({app="x"} | json [10ms]))',
        [entry(SHOP, 5, '{" level ":"info"}'), entry(SHOP, 5, '{"a":{" level":"info"}}')],
    ),
    "a field too deep to be looked for": (
        f'sum by ({LONG}_a) (count_over_time({{app="x"}} | json [10ms]))',
        [entry(SHOP, 5, f'{{"{LONG}":{{"a":"b"}}}}')],
    ),
    "the first of equal times, one of them to be looked at by rows": (
        'first_over_time({app="x"} | json | unwrap n [10ms]) by (app)',
        [
            entry(SHOP, 5, '{"n":1}'),
            entry(SHOP, 5, '{"n":1e1}'),
            entry(SHOP, 15, '{"n":2e1}'),
            entry(SHOP, 15, '{"n":2}'),
        ],
    ),
    "windows with gaps between": (
        'sum by (app) (bytes_over_time({app="x"} [3ms]))',
        [entry(SHOP, time, "é" * time) for time in (7, 8, 10, 11, 37, 40, 41)],
    ),
    "values that are no plain numbers": (
        'avg_over_time({app="x"} | logfmt | unwrap n [40ms]) by (app)',
        [entry(SHOP, 5, f"n={text}") for text in ("1_000", "+5", "0x10", ".5", "1e3", "007", "-0", "9" * 16)],
    ),
    "a failure that a filter behind unwrap takes back": (
        'avg_over_time({app="x"} | logfmt | unwrap n | __error__="" [40ms]) by (app)',
        [entry(SHOP, 5, "n=1"), entry(SHOP, 6, "n=odd"), entry(SHOP, 7, "n=3 alone")],
    ),
    "a filter by pattern before a parser": (
        'sum by (n) (bytes_over_time({app="x"} |> "<_>n<_>" !> "<_>2" | logfmt [10ms]))',
        [entry(SHOP, 5, "n=1"), entry(SHOP, 5, "a n=1"), entry(SHOP, 5, "a n=2"), entry(WITH_N, 5, "an n")],
    ),
    "a filter by address before a parser": (
        'sum by (n) (count_over_time({app="x"} | logfmt |= ip("10.0.0.0/8") or "::" [10ms]))',
        [entry(SHOP, 5, "n=10.1.1.1"), entry(SHOP, 5, "n=110.1.1.1"), entry(SHOP, 5, "n=::1"), entry(SHOP, 5, "")],
    ),
    "what is left of an error, where labels of the stream are not kept": (
        'count_over_time({app="x"} | json | drop __error__ | logfmt | keep level [10ms])',
        [entry(SHOP, 5, '{"level":"info"}'), entry(SHOP, 6, ""), entry(SHOP, 7, "level=warn")],
    ),
    "the details of an error that was dropped, where labels are not kept": (
        'count_over_time({app="x"} | unpack | keep n | drop __error__ [10ms])',
        [entry(SHOP, 5, "plain text"), entry(SHOP, 6, '{"n":"5"}'), entry(SHOP, 7, '{"_entry":"x","n":"5"}')],
    ),
    "or metadata stand beside it": (
        'rate({app="x"} | unpack | drop __error__ [10ms])',
        [entry(SHOP, 5, "plain text"), entry(SHOP, 6, "plain text", trace="x")],
    ),
    "an unwrapped label beside an error that is asked for": (
        'sum by (level, __error__) (sum_over_time({app="x"} | json | logfmt | unwrap n [10ms]))',
        [entry(SHOP, 5, '{"n":5}'), entry(SHOP, 5, "level=info n=5")],
    ),
    "a stored field of lines that the parser finds nothing in": (
        'sum(count_over_time({app="x"} | logfmt | d > 1 [10ms]))',
        [entry(SHOP, 5, f'{{"level":"info","d":{number}}}') for number in range(8)],
    ),
    "a second parser that need not look, as what a stage reads has been found": (
        'sum(count_over_time({app="x"} | logfmt | json | label_format level=level [10ms]))',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 6, "n=5"), entry(SHOP, 15, "level=info")],
    ),
    "a filter behind unwrap of what is unwrapped": (
        'sum by (app) (sum_over_time({app="x"} | logfmt | unwrap n | n > 2 | __error__="" [40ms]))',
        [entry(SHOP, 5 + number, f"n={number}") for number in range(8)] + [entry(SHOP, 14, "n=odd")],
    ),
    "a filter of a made label that a line has as a field, too": (
        'sum(count_over_time({app="x"} | json | label_format d=`x` | d="x" [10ms]))',
        [entry(SHOP, 5, '{"n":1,"d":"y"}'), entry(SHOP, 15, '{"n":1}')],
    ),
    "a filter before the parser that is tried again unless all has been found": (
        'sum(count_over_time({app="x"} | d="" | json | level!="" [10ms]))',
        [entry(SHOP, 5, '{"level":"info","n":5,"d":"1h"}'), entry(SHOP, 15, '{"d":"1h","level":"info"}')],
    ),
    "a label that is kept before a second parser finds others": (
        'sum by (n) (count_over_time({app="x"} | json | keep level | logfmt | n = "5" [10ms]))',
        [entry(SHOP, 5, "n=5 level=info"), entry(SHOP, 15, '{"n":"5"}')],
    ),
    "a label named as what has no name": (
        'sum by (_) (count_over_time({app="x"} | json [40ms]))',
        [entry(SHOP, 5 + number, f'{{"_":"{number}"}}') for number in range(3)],
    ),
    "an unwrapped label beside lines in which no parser finds anything": (
        'max_over_time({app="x"} | json | drop __error__, __error_details__ | unwrap n [10ms]) by (app)',
        [entry(SHOP, 5, '{"n":5}'), entry(SHOP, 6, "plain"), entry(WITH_N, 6, "plain"), entry(SHOP, 15, "plain")],
    ),
    "an error before a renamed label": (
        'sum by (app) (count_over_time({app="x"} | json | logfmt | __error__ != "" | label_format made=n [10ms]))',
        [entry(SHOP, 5, "n=5 level=info"), entry(SHOP, 6, '{"n":5}')],
    ),
    "two labels of one field, of which one is unwrapped and the other in a line": (
        'sum(sum_over_time({app="x"} | json a="n", b="n" | line_format "{{.a}}" |~ "^5$" | unwrap b [10ms]))',
        [entry(SHOP, 5, f'{{"n":{number % 8}}}') for number in range(41)],
    ),
    "two labels of one field, of which one is unwrapped and the other compared": (
        'sum(sum_over_time({app="x"} | json a="n", b="n" | a = "5" | unwrap b [10ms]))',
        [entry(SHOP, 5, f'{{"n":{number % 8}}}') for number in range(41)],
    ),
    "a line of a label that is compared with a number, whose bytes count": (
        'sum(bytes_over_time({app="x"} | json | n > 3 | line_format "{{.n}}" [10ms]))',
        [entry(SHOP, 5, f'{{"n":{number % 8}}}') for number in range(41)],
    ),
    "a key that stands twice, first with an object, and leads to what is extracted": (
        'sum by (x) (count_over_time({app="x"} | json x="level" [10ms]))',
        [entry(SHOP, 5, f'{{"level":{{"b":{number}}},"level":"{number}"}}') for number in range(4)],
    ),
    "keys of JSON without a shape that are named as errors are": (
        'sum by (__error_details__, __preserve_error__) (count_over_time({app="x"} | json | n != "1" [10ms]))',
        [
            entry(SHOP, 5, f'{{"n":2,{members},"x":[{{}}]}}')
            for members in (
                *(
                    '"__error_details__":5',
                    '"__preserve_error__":5',
                    '"--error.details--":5',
                    '"_":{"error_details__":5}',
                ),
                *('"__error_details":{"_":5}', '"__preserve":{"error__":5}', '"_":{"error":{"details":{"_":5}}}'),
            )
        ],
    ),
    "the same of a line that is made, with an error": (
        'sum by (__error__) (count_over_time({app="x"} | json | line_format `{{.log}}` | json [10ms]))',
        [entry(SHOP, 5, r'{"log":"{\"__error__\":5,\"x\":[{}]}"}')],
    ),
    "keys with quotes in JSON without a shape": (
        'sum by (a_b) (count_over_time({app="x"} | json [10ms]))',
        [
            entry(SHOP, 5, line)
            for line in (r'{"x":[{}],"a\"b":1}', '{"a_b":2,"x":[{}]}', r'{"x":[{}],"a\"b":3,"a_b":4}')
        ],
    ),
    "paths of JSON without a shape that no decoder knows": (
        r'sum by (x) (count_over_time({app="x"} | json x="[\"a\\b\"]", y="[\"a\tb\"]", z="'
        + "b." * 1200
        + 'b" [10ms]))',
        [entry(SHOP, 5, '{"x":[{}],"a":1}'), entry(SHOP, 6, '{"b":{"b":1},"x":[{}]}')],
    ),
    "nothing at all": ('absent_over_time({app="x"} | json | level="no" [10ms])', [entry(SHOP, 5, '{"level":"info"}')]),
    "an extraction whose label metadata has, and a key without a value": (
        'sum by (level, level_extracted) (count_over_time({app="x"} | logfmt level [10ms]))',
        [
            entry(SHOP, 5, "level", level="abc"),
            entry(SHOP, 5, "level=", level="abc"),
            entry(SHOP, 5, "level=warn", level="abc"),
            entry(SHOP, 5, "x", level="abc"),
            entry(SHOP, 5, "level=warn"),
        ],
    ),
    "a number that only the second reading of a line finds": (
        'max(max_over_time({app="x"} | logfmt | logfmt | json | unwrap n | __error__="" [10ms]))',
        [entry(SHOP, 5, '{"n":"1.5"}'), entry(SHOP, 5, "n=3"), entry(SHOP, 5, "n")],
    ),
    "pairs in lines of both kinds and of words": (
        'sum by (level, x) (count_over_time({app="x"} | json | logfmt | drop __error__ [10ms]))',
        [
            entry(SHOP, 5, '{"level":"info","url":"/x?a=b&level"}'),
            entry(SHOP, 5, '{"level":"info","url":"/x level=warn"}'),
            entry(SHOP, 5, '{"msg":"it is level=warn x=1"}'),
            entry(SHOP, 5, 'I0115 main.go:7] "Began" object="a/b" x=1 level=debug'),
            entry(SHOP, 5, 'I0115 main.go:7] "Began" object="a/b"'),
            entry(SHOP, 5, "l\u00e9vel=1 level\u00a0=warn x\ufffd=2"),
            entry(SHOP, 5, "text"),
        ],
    ),
    "a line without words has no labels, where those without values are kept": (
        'sum by (x) (count_over_time({app="x"} | logfmt --keep-empty [10ms]))',
        [entry(SHOP, 5, "level=info"), entry(SHOP, 5, ""), entry(SHOP, 5, " "), entry(SHOP, 5, "{}")],
    ),
    "a pair in text that is named as errors are fails, though it is not kept": (
        'count_over_time({app="x"} | logfmt | keep level [10ms])',
        [entry(SHOP, 5, 'text __error__="5" a=1')],
    ),
    "so it is where series have all labels": (
        'count_over_time({app="x"} | json | logfmt --keep-empty | drop __error__, __error_details__ [10ms])',
        [entry(SHOP, 5, "level=info n=5"), entry(SHOP, 5, "")],
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("query", "entries"), CASES.values(), ids=CASES)
def test_columns_give_what_rows_give(query: str, entries: list[Entry], form: Form) -> None:
    leaf = leaf_of(query)
    plan = plan_leaf(leaf)
    if plan is None:
        return  # to the rows
    batches = batches_of([entries], [form])
    assert_same(by_rows(leaf, batches, TIMES), by_columns(plan, batches, TIMES))


@pytest.mark.parametrize("offset_ms", [-3, 0, 4])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_in_no_window_does_not_fail(form: Form, offset_ms: int) -> None:
    """A window holds 3 ms up to each tenth: left-open, right-closed."""
    leaf = leaf_of(f'sum by (level) (count_over_time({{app="x"}} | json | n > 1 [3ms] offset {offset_ms}ms))')
    plan = plan_leaf(leaf)
    assert plan is not None
    for time_ms in range(6, 24):
        is_held = time_ms % 10 in (8, 9, 0)
        lines = [entry(SHOP, 10 - offset_ms, '{"n":2}'), entry(SHOP, time_ms - offset_ms, '{"n":"odd"}')]
        found = by_columns(plan, batches_of([lines], [form]), TIMES)
        assert (found is None) == is_held
        assert_same(by_rows(leaf, batches_of([lines], [form]), TIMES), found)


def _without_lines(batch: Batch) -> Batch:
    return replace(batch, frame=batch.frame.drop(LINE))


MANY = 5000


@pytest.mark.parametrize(
    "text",
    ["{{.n}}" * 300, "{{ repeat 2000 .n }}", f'{{{{ regexReplaceAll "" .n "{"x" * 900}" }}}}', "{{.n|upper}}" * 300],
)
def test_labels_that_templates_make_take_no_memory_for_all_rows(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_plan, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(template_columns, "_MOST_BYTES", 1 << 20)
    leaf = leaf_of(f'sum by (x) (count_over_time({{app="x"}} | json | label_format x=`{text}` | x="" [10ms]))')
    plan = plan_leaf(leaf)
    assert plan is not None
    batches = batches_of([[entry(SHOP, 5, f'{{"n":"{number}"}}') for number in range(1000, 3000)]], FORMS[2:])
    with pytest.raises(LinesNeeded):
        ColumnarLeaf(plan, Windows(leaf, TIMES)).add(_without_lines(batches[0]))
    assert_same(by_rows(leaf, batches, TIMES), by_columns(plan, batches, TIMES))


def test_templates_that_fail_of_what_filters_refuse_need_no_lines() -> None:
    leaf = leaf_of(
        'sum by (x) (count_over_time({app="x"} | json | level="info" | label_format x=`{{div 6 (int .n)}}` [10ms]))'
    )
    plan = plan_leaf(leaf)
    assert plan is not None
    levels = ("info", "warn", "error")
    (batch,) = batches_of(
        [[entry(SHOP, 5, f'{{"level":"{levels[n % 3]}","n":{3 - n % 3}}}') for n in range(99)]],
        ["chunk with every field"],
    )
    columnar = ColumnarLeaf(plan, Windows(leaf, TIMES))
    columnar.add(_without_lines(batch))
    assert_same(by_rows(leaf, [batch], TIMES), columnar.vectors())


@pytest.mark.parametrize("form", FORMS)
def test_many_combinations_give_what_rows_give(form: Form) -> None:
    leaf = leaf_of('sum by (n, app) (count_over_time({app="x"} | json [10ms]))')
    plan = plan_leaf(leaf)
    assert plan is not None
    batches = batches_of([[entry(number % 2, number % 40, f'{{"n":{number}}}') for number in range(MANY)]], [form])
    assert_same(by_rows(leaf, batches, TIMES), by_columns(plan, batches, TIMES))


@pytest.mark.parametrize("form", FORMS)
def test_more_series_than_allowed_are_not_collected(form: Form) -> None:
    leaf = leaf_of('count_over_time({app="x"} | json | keep n [10ms])')
    plan = plan_leaf(leaf)
    assert plan is not None
    columnar = ColumnarLeaf(plan, Windows(leaf, TIMES, QueryMemory(most_series=2)))
    for first, last in ((0, 2), (1, 2)):
        add_columns(columnar, batches_of([[entry(SHOP, 5, f'{{"n":{n}}}') for n in range(first, last)]], [form])[0])
    with pytest.raises(TooManySeries, match=r"series \(2\)"):
        add_columns(columnar, batches_of([[entry(SHOP, 5, '{"n":2}')]], [form])[0])


@pytest.mark.parametrize("form", ["chunk", "chunk with every field"])
def test_streams_that_have_many_names_take_no_column_for_each(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both_ways, "STREAMS", tuple((("app", "x"), (f"n{n}", "5")) for n in range(MANY // 2)))
    leaf = leaf_of('count_over_time({app="x"} | json | __error__="" [10ms])')
    plan = plan_leaf(leaf)
    assert plan is not None
    batches = batches_of([[entry(number // 2, 5, f'{{"x":{number}}}') for number in range(MANY)]], [form])
    tracemalloc.start()
    try:
        found = by_columns(plan, batches, TIMES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000
    assert_same(by_rows(leaf, batches, TIMES), found)


BY_ROWS = (
    'sum by (x) (count_over_time({app="x"} | json x="a[0].b" [1m]))',
    'sum by (x) (count_over_time({app="x"} | logfmt | logfmt x [1m]))',
    'sum by (x) (count_over_time({app="x"} | json | unpack [1m]))',
    'sum by (x) (count_over_time({app="x"} | label_format n=`1` | logfmt x="n" | n="1" [1m]))',
    'sum by (x) (count_over_time({app="x"} | json | label_format x=`{{__line__}}` [1m]))',
    'sum by (x) (count_over_time({app="x"} | json | label_format x=`{{__timestamp__}}` [1m]))',
    'sum by (x) (count_over_time({app="x"} | regexp "(?P<x>a|b*)+" [1m]))',
    'sum by (x) (count_over_time({app="x"} | regexp `(?P<x>\\pL)` [1m]))',
    'max_over_time({app="x"} | json | unwrap n [1m]) by (n)',
    'max_over_time({app="x"} | unwrap n [1m]) by (app)',
)


@pytest.mark.parametrize("query", BY_ROWS)
def test_what_no_column_tells_is_not_planned(query: str) -> None:
    assert plan_leaf(leaf_of(query)) is None


LOG_CASES: dict[str, tuple[str, list[list[Entry]]]] = {
    "filters of labels that templates make, one of which fails": (
        "| json | label_format d=`{{div 6 (int .n)}}`, made=`{{.level | ToUpper}}` | made=`A` | d > 2",
        [[entry(SHOP, 10 - n, f'{{"n":{n},"level":"a"}}') for n in range(4)], [entry(SHOP, 5, '{"level":"b"}')]],
    ),
    "filters of labels that are renamed, and of others behind": (
        "| json | label_format d=n | level=`a` | d=`1` | n=``",
        [[entry(SHOP, 10 - n, f'{{"n":{n},"level":"a"}}') for n in range(4)], [entry(SHOP, 5, '{"level":"b"}')]],
    ),
    "an entry pushed again beside one that the limit cuts off": (
        "",
        [[entry(SHOP, 10, "a"), entry(SHOP, 10, "a"), entry(SHOP, 9, "b")], [entry(SHOP, 8, "c")]],
    ),
    "a number that is none, behind an address in the query and before it in the line": (
        '| json | level = ip("1.2.3.4") | drop app | d > 5',
        [[entry(SHOP, 10, '{"d":"odd","level":"9.9.9.9"}'), entry(SHOP, 9, '{"level":"9.9.9.9","d":"odd"}')]],
    ),
    "a group that took no part, and an expression that is not found": (
        '| regexp "(?P<level>a)?=" | level = ""',
        [[entry(SHOP, 10, "a="), entry(SHOP, 9, "="), entry(SHOP, 8, "b\ufffd=")], [entry(SHOP, 7, "b")]],
    ),
    "an error that only the rows find, and a filter of errors": (
        '| json | d > 5 | __error__ != ""',
        [[entry(SHOP, 10, '{"d":"odd"}'), entry(SHOP, 9, '{"d":"7"}'), entry(SHOP, 8, '{"d":"1"}')]],
    ),
    "a comparison that fails before a filter of errors, and stands behind it": (
        '| logfmt | __error__ != "" | line_format `x` | n > 5',
        [[entry(SHOP, 10, "n=abc level=info"), entry(SHOP, 9, "n=7")]],
    ),
    "a chain of parsers, where many entries near the beginning of the answer pass, but the same ones twice": (
        '| json | line_format "{{.log}}" | logfmt | n < 5',
        [
            [entry(SHOP, time // 2, f'{{"log":"n={time // 2 % 5}"}}') for time in range(120)],
            [entry(SHOP, 40, '{"log":"n=1"}')],
        ],
    ),
    "a chain of parsers, where few entries pass": (
        '| json | line_format "{{.log}}" | logfmt | n > 5 | drop log',
        [[entry(SHOP, time, f'{{"log":"n={time % 11}"}}') for time in range(120)], [entry(SHOP, 0, '{"log":"n=6"}')]],
    ),
    "a chain of parsers, where columns do not tell of some entries that do not pass": (
        '| json | line_format "{{.log}}" | logfmt | n > 1 | n < 5 | __error__=""',
        [[entry(SHOP, time, f'{{"log":"n={"odd" if time % 3 else 2}"}}') for time in range(120)]],
    ),
    "a second parser that finds what a filter has missed": (
        '| json | level = "" | logfmt',
        [[entry(SHOP, 10, '{"a":" level=info "}'), entry(SHOP, 9, '{"a":"b"}'), entry(SHOP, 8, '{"a":"c"}')]],
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize(("stages", "records"), LOG_CASES.values(), ids=LOG_CASES)
def test_columns_choose_what_rows_need(
    stages: str, records: list[list[Entry]], direction: Direction, form: Form
) -> None:
    expr = parse_expr(f'{{app="x"}} {stages}')
    assert isinstance(expr, LogExpr)
    batches = batches_of(records, [form] * len(records))
    for limit in (1, 2, 3, 7):
        assert log_by_columns(expr, batches, direction, limit) == log_by_rows(expr, batches, direction, limit)


def test_a_few_rows_near_the_beginning_of_an_answer_are_chosen_where_enough_of_them_pass() -> None:
    lines = ('{"log":"n=2"}', '{"log":"n=odd"}', '{"log":')  # of which the last two are for rows to tell
    expr = parse_expr('{app="x"} | json | line_format "{{.log}}" | logfmt | n > 1')
    assert isinstance(expr, LogExpr)
    (batch,) = batches_of([[entry(SHOP, time, lines[time % 3]) for time in range(60)]], ["record"])
    chooser = RowChooser(plan_log(expr), "backward", 2)
    chosen = chooser.choose(batch)
    assert chosen[TIMESTAMP].to_list() == [time * MS for time in range(54, 60)]
    assert chooser.has_cut
    assert chooser.last_ns(chosen) is None
