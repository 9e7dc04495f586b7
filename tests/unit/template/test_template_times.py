"""Times, date layouts and zones, with the output of Go where the local zone is UTC."""

from collections.abc import Callable

import pytest

from log_aggregator.logql.template import TemplateRuntimeError, compile_template

PRINTED = [
    ("{{ __timestamp__ }}", "2026-01-15 10:00:35.359587542 +0000 UTC"),
    ('{{ __timestamp__ | date "2006-01-02T15:04:05.00Z-07:00" }}', "2026-01-15T10:00:35.35Z+00:00"),
    ('{{ __timestamp__ | date "Mon Jan _2 15:04:05 2006" }}', "Thu Jan 15 10:00:35 2026"),
    ('{{ date "02/01/06 03:04PM" __timestamp__ }}', "15/01/26 10:00AM"),
    ('{{ __timestamp__ | date "2006-01-02T15:04:05.999999999Z07:00" }}', "2026-01-15T10:00:35.359587542Z"),
    ('{{ __timestamp__ | date "2006-01-02T15:04:05Z07:00" }}', "2026-01-15T10:00:35Z"),
    (
        '{{ __timestamp__ | date "Monday, January 2, 2006 at 3:04:05.000 pm MST -0700 002 __2" }}',
        "Thursday, January 15, 2026 at 10:00:35.359 am UTC +0000 015  15",
    ),
    (
        '{{ __timestamp__ | date "06 1 01 2 02 _2 3 03 4 04 5 05 PM pm Z0700 Z07 Z070000 -07 -070000 -07:00:00" }}',
        "26 1 01 15 15 15 10 10 0 00 35 35 AM am Z Z Z +00 +000000 +00:00:00",
    ),
    (
        '{{ __timestamp__ | date ".0 .00 .000000 .9 .999 ,000 ,999 .0001 .1" }}',
        ".3 .35 .359587 .3 .359 ,359 ,359 .0001 .1",
    ),
    ('{{ date "15:04:05.000000000" __timestamp__ }}', "10:00:35.359587542"),
    (
        '{{ __timestamp__ | date "Janet Month Monster 2006x_2006 MSTx 150405 2Jan06" }}',
        "Janet Month Monster 2026x_2026 UTCx 100035 15Jan26",
    ),
    ('{{ date "" __timestamp__ }}', ""),
    ('{{ date "é日" __timestamp__ }}', "é日"),
    ('{{ unixToTime "1679577215" | date "15:04:05.999 _2 __2" }}', "13:13:35 23  82"),
    ('{{ unixToTime "0000000000" }}', "1970-01-01 00:00:00 +0000 UTC"),
    ('{{ unixToTime "-100000000" }}', "1966-10-31 14:13:20 +0000 UTC"),
    ('{{ unixToTime "-999999999" }}', "1938-04-24 22:13:21 +0000 UTC"),
    ("{{ __timestamp__ | unixEpoch }}", "1768471235"),
    ("{{ __timestamp__ | unixEpochMillis }}", "1768471235359"),
    ("{{ unixEpochNanos __timestamp__ }}", "1768471235359587542"),
    ('{{ date "2006-01-02 15:04" 1679577215 }}', "2023-03-23 13:13"),
    ('{{ date "2006-01-02" (add 1679577215 86400) }}', "2023-03-24"),
    ('{{ date "2006" (int "86400") }}', "1970"),
    ('{{ unixToTime "19373" }}', "2023-01-16 00:00:00 +0000 UTC"),
    ('{{ unixToTime "1679577215000" }}', "2023-03-23 13:13:35 +0000 UTC"),
    ('{{ unixToTime "1679577215000001" | unixEpochNanos }}', "1679577215000001000"),
    ('{{ unixToTime "1679577215000000001" }}', "2023-03-23 13:13:35.000000001 +0000 UTC"),
]
METHODS = [
    ("{{ __timestamp__.Year }}", "2026"),
    ("{{ __timestamp__.Month }}", "January"),
    ("{{ __timestamp__.Day }}", "15"),
    ("{{ __timestamp__.Hour }}", "10"),
    ("{{ __timestamp__.Minute }}", "0"),
    ("{{ __timestamp__.Second }}", "35"),
    ("{{ __timestamp__.Nanosecond }}", "359587542"),
    ("{{ __timestamp__.Weekday }}", "Thursday"),
    ("{{ __timestamp__.YearDay }}", "15"),
    ("{{ __timestamp__.Unix }}", "1768471235"),
    ("{{ __timestamp__.UnixMilli }}", "1768471235359"),
    ("{{ __timestamp__.UnixMicro }}", "1768471235359587"),
    ("{{ __timestamp__.UnixNano }}", "1768471235359587542"),
    ('{{ __timestamp__.Format "15h" }}', "10h"),
    ('{{ "15h" | __timestamp__.Format }}', "10h"),
    ("{{ __timestamp__.UTC }}", "2026-01-15 10:00:35.359587542 +0000 UTC"),
    ("{{ __timestamp__.Local }}", "2026-01-15 10:00:35.359587542 +0000 UTC"),
    ("{{ __timestamp__.String }}", "2026-01-15 10:00:35.359587542 +0000 UTC"),
    ("{{ __timestamp__.IsZero }}", "false"),
    ('{{ (toDate "x" "y").IsZero }}', "true"),
    ("{{ __timestamp__.Add 5 | unixEpochNanos }}", "1768471235359587547"),
    ('{{ (__timestamp__.Truncate 3600000000000) | date "15:04:05" }}', "10:00:00"),
    ("{{ __timestamp__.Round 1000000000 }}", "2026-01-15 10:00:35 +0000 UTC"),
    ("{{ __timestamp__.Truncate -1 }}", "2026-01-15 10:00:35.359587542 +0000 UTC"),
    ("{{ __timestamp__.Truncate 604800000000000 }}", "2026-01-12 00:00:00 +0000 UTC"),
    ("{{ __timestamp__.AddDate 0 1 17 }}", "2026-03-04 10:00:35.359587542 +0000 UTC"),
    ("{{ __timestamp__.AddDate -1 -13 0 }}", "2023-12-15 10:00:35.359587542 +0000 UTC"),
    ('{{ (toDate "2006-01-02" "2024-01-31").AddDate 0 1 0 }}', "2024-03-02 00:00:00 +0000 UTC"),
    ("{{ __timestamp__.AddDate -2030 0 0 }}", "-0004-01-15 10:00:35.359587542 +0000 UTC"),
    ("{{ __timestamp__.AddDate 9000 0 0 }}", "11026-01-15 10:00:35.359587542 +0000 UTC"),
    (
        '{{ $a := toDate "2006-01-02" "2021-11-02" }}{{ $b := toDate "2006-01-02" "2021-11-01" }}{{ $a.Sub '
        "$b }} {{ $b.Sub $a }} {{ $a.After $b }} {{ $a.Before $b }} {{ $a.Equal $a }} {{ $a.Compare $b }} "
        "{{ $b.Compare $a }}",
        "24h0m0s -24h0m0s true false true 1 -1",
    ),
    (
        '{{ $d := __timestamp__.Sub (unixToTime "1768471000") }}{{ $d }} {{ $d.Seconds }} {{ $d.Hours }} '
        "{{ $d.Minutes }} {{ $d.Milliseconds }} {{ $d.Microseconds }} {{ $d.Nanoseconds }} {{ $d.String }}",
        "3m55.359587542s 235.359587542 0.06537766320611112 3.922659792366667 235359 235359587 235359587542 "
        "3m55.359587542s",
    ),
    (
        '{{ $d := __timestamp__.Sub (unixToTime "1768471000") }}{{ $d.Round 1000000000 }} {{ $d.Truncate '
        "60000000000 }} {{ $d.Round 0 }} {{ $d.Abs }} {{ if $d }}y{{ end }}",
        "3m55s 3m0s 3m55.359587542s 3m55.359587542s y",
    ),
    (
        '{{ $z := unixToTime "1768471000" }}{{ $z.Sub ($z.Add 1500000) }} {{ $z.Sub ($z.Add -1500) }} {{ '
        "$z.Sub ($z.Add -15) }} {{ $z.Sub $z }} {{ ($z.Sub ($z.Add 90500000000)).Abs }} {{ ($z.Sub ($z.Add "
        "1999999)).Milliseconds }}",
        "-1.5ms 1.5µs 15ns 0s 1m30.5s -1",
    ),
    ("{{ __timestamp__.Month.String }}", "January"),
    ("{{ __timestamp__.Weekday.String }}", "Thursday"),
    ("{{ add __timestamp__.Month 1 }}", "2"),
    ("{{ eq __timestamp__.Year 2026 }}", "true"),
    ("{{ lt __timestamp__.Month 6 }}", "true"),
    (
        '{{ __timestamp__.In (toDateInZone "2006" "Asia/Kolkata" "2021").Location }}',
        "2026-01-15 15:30:35.359587542 +0530 IST",
    ),
    ('{{ (toDateInZone "2006" "Asia/Kolkata" "2021").Location }}', "Asia/Kolkata"),
    ('{{ (toDate "2006" "x").Sub __timestamp__ }}', "-2562047h47m16.854775808s"),
]
PARSED = [
    ('{{ toDate "2006-01-02" "2021-11-02" }}', "2021-11-02 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "garbage" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "garbage" | unixEpoch }}', "-62135596800"),
    ('{{ toDate "2006-01-02" "garbage" | unixEpochNanos }}', "-6795364578871345152"),
    ('{{ toDate "2006-01-02" "garbage" | unixEpochMillis }}', "-62135596800000"),
    ('{{ toDate "2006-01-02" "2021-11-02x" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "2021-02-29" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "2024-02-29" }}', "2024-02-29 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "2021-13-01" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-1-2" "2021-1-2" }}', "2021-01-02 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "2021-1-2" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "15:04" "12:30" }}', "0000-01-01 12:30:00 +0000 UTC"),
    ('{{ toDate "15:04" "24:00" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "3:04PM" "1:30PM" }}', "0000-01-01 13:30:00 +0000 UTC"),
    ('{{ toDate "3:04PM" "12:30AM" }}', "0000-01-01 00:30:00 +0000 UTC"),
    ('{{ toDate "3:04pm" "12:30pm" }}', "0000-01-01 12:30:00 +0000 UTC"),
    ('{{ toDate "3:04PM" "1:30pm" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "3:04PM" "13:30PM" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "15:04:05" "12:30:45.123" }}', "0000-01-01 12:30:45.123 +0000 UTC"),
    ('{{ toDate "15:04:05.000" "12:30:45.123" }}', "0000-01-01 12:30:45.123 +0000 UTC"),
    ('{{ toDate "15:04:05.000" "12:30:45.12" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "15:04:05.999" "12:30:45.123456" }}', "0000-01-01 12:30:45.123456 +0000 UTC"),
    ('{{ toDate "15:04:05.999" "12:30:45" }}', "0000-01-01 12:30:45 +0000 UTC"),
    ('{{ toDate "15:04:05" "12:30:45,5" }}', "0000-01-01 12:30:45.5 +0000 UTC"),
    ('{{ toDate "15:04:05" "12:30:60" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "Mon, 02 Jan 2006 15:04:05 MST" "Thu, 15 Jan 2026 10:00:35 UTC" }}', "2026-01-15 10:00:35 +0000 UTC"),
    ('{{ toDate "Mon Jan _2 2006" "thu jAN  5 2026" }}', "2026-01-05 00:00:00 +0000 UTC"),
    ('{{ toDate "January 2" "March 5" }}', "0000-03-05 00:00:00 +0000 UTC"),
    ('{{ toDate "Jan 2" "March 5" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "Monday" "Noday" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "02/Jan/2006:15:04:05 -0700" "15/Jan/2026:10:00:35 +0200" }}', "2026-01-15 10:00:35 +0200 +0200"),
    ('{{ toDate "2006-01-02T15:04:05Z07:00" "2026-01-15T10:00:35Z" }}', "2026-01-15 10:00:35 +0000 UTC"),
    ('{{ toDate "2006-01-02T15:04:05Z07:00" "2026-01-15T10:00:35-05:30" }}', "2026-01-15 10:00:35 -0530 -0530"),
    ('{{ toDate "-07" "+02" }}', "0000-01-01 00:00:00 +0200 +0200"),
    ('{{ toDate "-0700" "+2500" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "-07:00:00" "+01:02:03" }}', "0000-01-01 00:00:00 +0102 +0102"),
    ('{{ toDate "-07:00" "x01:02" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "06" "68" }}', "2068-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "06" "69" }}', "1969-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006 002" "2024 060" }}', "2024-02-29 00:00:00 +0000 UTC"),
    ('{{ toDate "2006 002" "2023 366" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006 __2" "2023   5" }}', "2023-01-05 00:00:00 +0000 UTC"),
    ('{{ toDate "2006 002 01" "2024 060 03" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006  01" "2024 7" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01 -07" "2024-07 Z" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "MST" "GMT+3" }}', "0000-01-01 03:00:00 +0300 GMT+3"),
    ('{{ toDate "MST" "CEST" }}', "0000-01-01 00:00:00 +0000 CEST"),
    ('{{ toDate "MST" "ab" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "MST" "ABCDEF" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "MST" "WITA" }}', "0000-01-01 00:00:00 +0000 WITA"),
    ('{{ toDate "MST" "ChST" }}', "0000-01-01 00:00:00 +0000 ChST"),
    ('{{ toDate "MST" "+03" }}', "0000-01-01 00:00:00 +0000 +03"),
    ('{{ toDate "MST" "+24" }}', "0001-01-01 00:00:00 +0000 UTC"),
]
ZONES = [
    ('{{ toDateInZone "2006-01-02" "UTC" "2021-11-02" | unixEpoch }}', "1635811200"),
    ('{{ toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2021-07-02 12:00" }}', "2021-07-02 12:00:00 +0200 CEST"),
    ('{{ toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2021-12-02 12:00" | unixEpoch }}', "1638442800"),
    ('{{ toDateInZone "2006-01-02 15:04" "America/New_York" "2021-12-02 12:00" }}', "2021-12-02 12:00:00 -0500 EST"),
    ('{{ toDateInZone "2006-01-02 15:04" "America/New_York" "2021-12-02 12:00" | date "15:04 MST" }}', "17:00 UTC"),
    (
        '{{ (toDateInZone "2006-01-02 15:04" "America/New_York" "2021-12-02 12:00").Format "15:04 MST '
        '-07:00 Z07:00" }}',
        "12:00 EST -05:00 -05:00",
    ),
    ('{{ toDateInZone "2006-01-02" "Nowhere/Land" "2021-11-02" }}', "2021-11-02 00:00:00 +0000 UTC"),
    ('{{ toDateInZone "2006-01-02" "UTC" "garbage" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDateInZone "2006-01-02" "" "2021-11-02" }}', "2021-11-02 00:00:00 +0000 UTC"),
    ('{{ toDateInZone "2006" "Local" "2021" }}', "2021-01-01 00:00:00 +0000 UTC"),
    ('{{ toDateInZone "2006" "../etc" "2021" }}', "2021-01-01 00:00:00 +0000 UTC"),
    ('{{ toDateInZone "2006" "Europe" "2021" }}', "2021-01-01 00:00:00 +0000 UTC"),
    (
        '{{ toDateInZone "2006-01-02T15:04:05.999999999Z" "UTC" "2023-03-10T01:02:03.5Z" | unixEpochNanos }}',
        "1678410123500000000",
    ),
    ('{{ toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2021-03-28 02:30" }}', "2021-03-28 03:30:00 +0200 CEST"),
    ('{{ toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2021-10-31 02:30" }}', "2021-10-31 02:30:00 +0100 CET"),
    ('{{ toDateInZone "2006-01-02 15:04" "America/New_York" "2021-03-14 02:30" }}', "2021-03-14 01:30:00 -0500 EST"),
    ('{{ toDateInZone "2006-01-02 15:04" "America/New_York" "2021-11-07 01:30" }}', "2021-11-07 01:30:00 -0400 EDT"),
    (
        '{{ toDateInZone "2006-01-02 15:04 -0700" "Europe/Berlin" "2021-07-02 12:00 +0200" }}',
        "2021-07-02 12:00:00 +0200 CEST",
    ),
    (
        '{{ toDateInZone "2006-01-02 15:04 -0700" "Europe/Berlin" "2021-07-02 12:00 +0500" }}',
        "2021-07-02 12:00:00 +0500 +0500",
    ),
    (
        '{{ toDateInZone "2006-01-02 15:04 MST" "Europe/Berlin" "2021-07-02 12:00 CEST" }}',
        "2021-07-02 12:00:00 +0200 CEST",
    ),
    (
        '{{ toDateInZone "2006-01-02 15:04 MST" "Europe/Berlin" "2021-07-02 12:00 CET" }}',
        "2021-07-02 13:00:00 +0200 CEST",
    ),
    (
        '{{ toDateInZone "2006-01-02 15:04 MST" "Europe/Berlin" "2021-07-02 12:00 PST" }}',
        "2021-07-02 12:00:00 +0000 PST",
    ),
    ('{{ toDateInZone "2006" "Asia/Kolkata" "2021" }}', "2021-01-01 00:00:00 +0530 IST"),
    ('{{ toDateInZone "2006" "Asia/Kolkata" "1800" }}', "1800-01-01 00:00:00 +0553 LMT"),
    ('{{ toDateInZone "2006" "Australia/Lord_Howe" "2021" }}', "2021-01-01 00:00:00 +1100 +11"),
    ('{{ toDateInZone "2006" "Etc/GMT+3" "2021" }}', "2021-01-01 00:00:00 -0300 -03"),
    ('{{ (toDateInZone "2006" "Asia/Kolkata" "2021").YearDay }}', "1"),
]
REFUSED = [
    (
        '{{ unixToTime "123" }}',
        "1:3",
        'unixToTime "123"',
        "error calling unixToTime: unable to parse time '123': %!w(<nil>)",
    ),
    (
        '{{ unixToTime "x" }}',
        "1:3",
        'unixToTime "x"',
        "error calling unixToTime: unable to parse time 'x': strconv.ParseInt: parsing \"x\": invalid syntax",
    ),
    (
        '{{ unixToTime "" }}',
        "1:3",
        'unixToTime ""',
        "error calling unixToTime: unable to parse time '': strconv.ParseInt: parsing \"\": invalid syntax",
    ),
    (
        '{{ unixToTime "99999999999999999999" }}',
        "1:3",
        'unixToTime "99999999999999999999"',
        "error calling unixToTime: unable to parse time '99999999999999999999': strconv.ParseInt: parsing "
        '"99999999999999999999": value out of range',
    ),
    (
        '{{ unixToTime "1.5" }}',
        "1:3",
        'unixToTime "1.5"',
        "error calling unixToTime: unable to parse time '1.5': strconv.ParseInt: parsing \"1.5\": invalid syntax",
    ),
    (
        '{{ unixToTime "1_000" }}',
        "1:3",
        'unixToTime "1_000"',
        "error calling unixToTime: unable to parse time '1_000': strconv.ParseInt: parsing \"1_000\": invalid syntax",
    ),
    ('{{ date "x" }}', "1:3", "date", "wrong number of args for date: want 2 got 1"),
]


@pytest.mark.parametrize(("template", "expected"), PRINTED)
def test_formatting(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), METHODS)
def test_methods(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), PARSED)
def test_parsing(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), ZONES)
def test_zones(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "place", "node", "message"), REFUSED)
def test_refused_arguments(render: Callable[[str], str], template: str, place: str, node: str, message: str) -> None:
    with pytest.raises(TemplateRuntimeError) as caught:
        render(template)
    assert str(caught.value) == f'template: line:{place}: executing "line" at <{node}>: {message}'


NOW_NS = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ now }}", "2027-01-15 08:00:00 +0000 UTC"),
        ("{{ now | unixEpoch }} {{ unixEpochMillis now }}", "1800000000 1800000000000"),
        ('{{ date "2006-01-02" "notatime" }}', "2027-01-15"),
        ('{{ date "2006-01-02" 1.5 }} {{ date "2006-01-02" nil }}', "2027-01-15 2027-01-15"),
    ],
)
def test_now_is_the_clock_given(template: str, expected: str) -> None:
    assert compile_template(template, now_ns=lambda: NOW_NS).render({}, "", 0) == expected
