"""`printf` with its verbs, flags and complaints, with the output of Go."""

from collections.abc import Callable

import pytest

VALUES = [
    ('{{ printf "%v|%+v|%#v|%T" "héllo" "héllo" "héllo" "héllo" }}', 'héllo|héllo|"héllo"|string'),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" }}',
        'héllo|"héllo"|68c3a96c6c6f|68C3A96C6C6F|68 c3 a9 6c 6c 6f|0x68c3a96c6c6f',
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" "héllo" "héllo" "héllo" '
        '"héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" }}',
        "%!d(string=héllo)|%!d(string=héllo)|%!d(string=héllo)|%!d(st"
        "ring=héllo)|%!d(string=héllo)|%!d(string=héllo)|%!d(string=h"
        "él)|%!b(string=héllo)|%!o(string=héllo)|%!o(string=héllo)|%!"
        "O(string=héllo)|%!c(string=héllo)|%!U(string=héllo)|%!U(string=héllo)|%!t(string=héllo)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" "héllo" "héllo" "héllo" '
        '"héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" "héllo" }}',
        "%!f(string=héllo)|%!f(string=hé)|%!f(string=     hél)|%!f(string=h       "
        ")|%!f(string=00000hél)|%!e(string=h)|%!e(string=héllo)|%!E(s"
        "tring=héllo)|%!g(string=héllo)|%!G(string=héllo)|%!g(string="
        "hél)|%!g(string=héllo)|%!F(string=héllo)|%!b(string=héllo)",
    ),
    (
        '{{ printf "%v|%+v|%#v|%T" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" }}',
        'a"b\n\udcff|a"b\n\udcff|"a\\"b\\n\\xff"|string',
    ),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" "a\\"b\\n\\xff" }}',
        'a"b\n\udcff|"a\\"b\\n\\xff"|6122620aff|6122620AFF|61 22 62 0a ff|0x6122620aff',
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" "a\\"b\\n\\xff" }}',
        '%!d(string=a"b\n\udcff)|%!d(string=a"b\n\udcff)|%!d(string=a"b\n\udcff)|%!d(string=a"b\n'
        '\udcff)|%!d(string=a"b\n\udcff)|%!d(string=a"b\n\udcff)|%!d(string=a"b)|%!b(string=a"b\n'
        '\udcff)|%!o(string=a"b\n\udcff)|%!o(string=a"b\n\udcff)|%!O(string=a"b\n\udcff)|%!c(string=a"b\n'
        '\udcff)|%!U(string=a"b\n\udcff)|%!U(string=a"b\n\udcff)|%!t(string=a"b\n\udcff)',
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" "a\\"b\\n\\xff" '
        '"a\\"b\\n\\xff" }}',
        '%!f(string=a"b\n\udcff)|%!f(string=a")|%!f(string=     a"b)|%!f(string=a       '
        ')|%!f(string=00000a"b)|%!e(string=a)|%!e(string=a"b\n\udcff)|%!E(string=a"b\n'
        '\udcff)|%!g(string=a"b\n\udcff)|%!G(string=a"b\n\udcff)|%!g(string=a"b)|%!g(string=a"b\n'
        '\udcff)|%!F(string=a"b\n\udcff)|%!b(string=a"b\n\udcff)',
    ),
    ('{{ printf "%v|%+v|%#v|%T" 42 42 42 42 }}', "42|42|42|int"),
    ('{{ printf "%s|%q|%x|%X|% x|%#x" 42 42 42 42 42 42 }}', "%!s(int=42)|'*'|2a|2A| 2a|0x2a"),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" 42 42 42 42 42 42 42 42 42 42 '
        "42 42 42 42 42 }}",
        "42|   42|42   |00042|+42| 42|042|101010|52|052|0o52|*|U+002A|U+002A '*'|%!t(int=42)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" 42 42 42 42 42 42 42 42 '
        "42 42 42 42 42 42 }}",
        "%!f(int=42)|%!f(int=42)|%!f(int=     042)|%!f(int=42      )|%!f(int=     "
        "042)|%!e(int=+42)|%!e(int=42)|%!E(int=42)|%!g(int=42)|%!G(in"
        "t=42)|%!g(int=042)|%!g(int=42)|%!F(int=42)|101010",
    ),
    ('{{ printf "%v|%+v|%#v|%T" -42 -42 -42 -42 }}', "-42|-42|-42|int"),
    ('{{ printf "%s|%q|%x|%X|% x|%#x" -42 -42 -42 -42 -42 -42 }}', "%!s(int=-42)|'�'|-2a|-2A|-2a|-0x2a"),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" -42 -42 -42 -42 -42 -42 -42 '
        "-42 -42 -42 -42 -42 -42 -42 -42 }}",
        "-42|  -42|-42  "
        "|-0042|-42|-42|-042|-101010|-52|-052|-0o52|�|U+FFFFFFFFFFFFF"
        "FD6|U+FFFFFFFFFFFFFFD6|%!t(int=-42)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" -42 -42 -42 -42 -42 -42 '
        "-42 -42 -42 -42 -42 -42 -42 -42 }}",
        "%!f(int=-42)|%!f(int=-42)|%!f(int=    -042)|%!f(int=-42     )|%!f(int=    "
        "-042)|%!e(int=-42)|%!e(int=-42)|%!E(int=-42)|%!g(int=-42)|%!"
        "G(int=-42)|%!g(int=-042)|%!g(int=-42)|%!F(int=-42)|-101010",
    ),
    ('{{ printf "%v|%+v|%#v|%T" 0 0 0 0 }}', "0|0|0|int"),
    ('{{ printf "%s|%q|%x|%X|% x|%#x" 0 0 0 0 0 0 }}', "%!s(int=0)|'\\x00'|0|0| 0|0x0"),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 }}',
        "0|    0|0    |00000|+0| 0|000|0|0|0|0o0|\x00|U+0000|U+0000|%!t(int=0)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" 0 0 0 0 0 0 0 0 0 0 0 0 0 0 }}',
        "%!f(int=0)|%!f(int=00)|%!f(int=     000)|%!f(int=0       )|%!f(int=     "
        "000)|%!e(int=+0)|%!e(int=0)|%!E(int=0)|%!g(int=0)|%!G(int=0)"
        "|%!g(int=000)|%!g(int=0)|%!F(int=0)|0",
    ),
    ('{{ printf "%v|%+v|%#v|%T" 3.75 3.75 3.75 3.75 }}', "3.75|3.75|3.75|float64"),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" 3.75 3.75 3.75 3.75 3.75 3.75 }}',
        "%!s(float64=3.75)|%!q(float64=3.75)|0x1.ep+01|0X1.EP+01| 0x1.ep+01|0x1.e000p+01",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" 3.75 3.75 3.75 3.75 3.75 3.75 '
        "3.75 3.75 3.75 3.75 3.75 3.75 3.75 3.75 3.75 }}",
        "%!d(float64=3.75)|%!d(float64= 3.75)|%!d(float64=3.75 "
        ")|%!d(float64=03.75)|%!d(float64=+3.75)|%!d(float64= "
        "3.75)|%!d(float64=3.75)|8444249301319680p-51|%!o(float64=3.7"
        "5)|%!o(float64=3.75000)|%!O(float64=3.75)|%!c(float64=3.75)|"
        "%!U(float64=3.75)|%!U(float64=3.75000)|%!t(float64=3.75)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" 3.75 3.75 3.75 3.75 3.75 '
        "3.75 3.75 3.75 3.75 3.75 3.75 3.75 3.75 3.75 }}",
        "3.750000|3.75|   3.750|3.8     "
        "|0003.750|+3.8e+00|3.750000e+00|3.750000E+00|3.75|3.75|3.75|"
        "3.75000|3.750000|8444249301319680p-51",
    ),
    ('{{ printf "%v|%+v|%#v|%T" -0.5 -0.5 -0.5 -0.5 }}', "-0.5|-0.5|-0.5|float64"),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 }}',
        "%!s(float64=-0.5)|%!q(float64=-0.5)|-0x1p-01|-0X1P-01|-0x1p-01|-0x1.0000p-01",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 '
        "-0.5 -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 }}",
        "%!d(float64=-0.5)|%!d(float64= -0.5)|%!d(float64=-0.5 "
        ")|%!d(float64=-00.5)|%!d(float64=-0.5)|%!d(float64=-0.5)|%!d"
        "(float64=-0.5)|-4503599627370496p-53|%!o(float64=-0.5)|%!o(f"
        "loat64=-0.500000)|%!O(float64=-0.5)|%!c(float64=-0.5)|%!U(fl"
        "oat64=-0.5)|%!U(float64=-0.500000)|%!t(float64=-0.5)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" -0.5 -0.5 -0.5 -0.5 -0.5 '
        "-0.5 -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 -0.5 }}",
        "-0.500000|-0.50|  -0.500|-0.5    "
        "|-000.500|-5.0e-01|-5.000000e-01|-5.000000E-01|-0.5|-0.5|-0."
        "5|-0.500000|-0.500000|-4503599627370496p-53",
    ),
    ('{{ printf "%v|%+v|%#v|%T" 1e21 1e21 1e21 1e21 }}', "1e+21|1e+21|1e+21|float64"),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" 1e21 1e21 1e21 1e21 1e21 1e21 }}',
        "%!s(float64=1e+21)|%!q(float64=1e+21)|0x1.b1ae4d6e2ef5p+69|0X1.B1AE4D6E2EF5P+69| "
        "0x1.b1ae4d6e2ef5p+69|0x1.b1ae4d6e2ef5p+69",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" 1e21 1e21 1e21 1e21 1e21 1e21 '
        "1e21 1e21 1e21 1e21 1e21 1e21 1e21 1e21 1e21 }}",
        "%!d(float64=1e+21)|%!d(float64=1e+21)|%!d(float64=1e+21)|%!d"
        "(float64=1e+21)|%!d(float64=+1e+21)|%!d(float64= "
        "1e+21)|%!d(float64=1e+21)|7629394531250000p+17|%!o(float64=1"
        "e+21)|%!o(float64=1.00000e+21)|%!O(float64=1e+21)|%!c(float6"
        "4=1e+21)|%!U(float64=1e+21)|%!U(float64=1.00000e+21)|%!t(float64=1e+21)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" 1e21 1e21 1e21 1e21 1e21 '
        "1e21 1e21 1e21 1e21 1e21 1e21 1e21 1e21 1e21 }}",
        "1000000000000000000000.000000|1000000000000000000000.00|1000"
        "000000000000000000.000|1000000000000000000000.0|100000000000"
        "0000000000.000|+1.0e+21|1.000000e+21|1.000000E+21|1e+21|1E+2"
        "1|1e+21|1.00000e+21|1000000000000000000000.000000|7629394531250000p+17",
    ),
    (
        '{{ printf "%v|%+v|%#v|%T" 123456789.5 123456789.5 123456789.5 123456789.5 }}',
        "1.234567895e+08|1.234567895e+08|1.234567895e+08|float64",
    ),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 }}',
        "%!s(float64=1.234567895e+08)|%!q(float64=1.234567895e+08)|0x"
        "1.d6f3456p+26|0X1.D6F3456P+26| 0x1.d6f3456p+26|0x1.d6f3456p+26",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" 123456789.5 123456789.5 '
        "123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 "
        "123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 }}",
        "%!d(float64=1.234567895e+08)|%!d(float64=1.234567895e+08)|%!"
        "d(float64=1.234567895e+08)|%!d(float64=1.234567895e+08)|%!d("
        "float64=+1.234567895e+08)|%!d(float64= "
        "1.234567895e+08)|%!d(float64=1.23e+08)|8285044896432128p-26|"
        "%!o(float64=1.234567895e+08)|%!o(float64=1.234567895e+08)|%!"
        "O(float64=1.234567895e+08)|%!c(float64=1.234567895e+08)|%!U("
        "float64=1.234567895e+08)|%!U(float64=1.234567895e+08)|%!t(float64=1.234567895e+08)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" 123456789.5 123456789.5 '
        "123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 123456789.5 "
        "123456789.5 123456789.5 123456789.5 123456789.5 }}",
        "123456789.500000|123456789.50|123456789.500|123456789.5|1234"
        "56789.500|+1.2e+08|1.234568e+08|1.234568E+08|1.234567895e+08"
        "|1.234567895E+08|1.23e+08|1.234567895e+08|123456789.500000|8285044896432128p-26",
    ),
    ('{{ printf "%v|%+v|%#v|%T" true true true true }}', "true|true|true|bool"),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" true true true true true true }}',
        "%!s(bool=true)|%!q(bool=true)|%!x(bool=true)|%!X(bool=true)|%!x(bool=true)|%!x(bool=true)",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" true true true true true true '
        "true true true true true true true true true }}",
        "%!d(bool=true)|%!d(bool= true)|%!d(bool=true "
        ")|%!d(bool=0true)|%!d(bool=true)|%!d(bool=true)|%!d(bool=tru"
        "e)|%!b(bool=true)|%!o(bool=true)|%!o(bool=true)|%!O(bool=tru"
        "e)|%!c(bool=true)|%!U(bool=true)|%!U(bool=true)|true",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" true true true true true '
        "true true true true true true true true true }}",
        "%!f(bool=true)|%!f(bool=true)|%!f(bool=    true)|%!f(bool=true    "
        ")|%!f(bool=0000true)|%!e(bool=true)|%!e(bool=true)|%!E(bool="
        "true)|%!g(bool=true)|%!G(bool=true)|%!g(bool=true)|%!g(bool="
        "true)|%!F(bool=true)|%!b(bool=true)",
    ),
    ('{{ printf "%v|%+v|%#v|%T" nil nil nil nil }}', "<nil>|<nil>|<nil>|<nil>"),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" nil nil nil nil nil nil }}',
        "%!s(<nil>)|%!q(<nil>)|%!x(<nil>)|%!X(<nil>)|%!x(<nil>)|%!x(<nil>)",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" nil nil nil nil nil nil nil '
        "nil nil nil nil nil nil nil nil }}",
        "%!d(<nil>)|%!d(<nil>)|%!d(<nil>)|%!d(<nil>)|%!d(<nil>)|%!d(<"
        "nil>)|%!d(<nil>)|%!b(<nil>)|%!o(<nil>)|%!o(<nil>)|%!O(<nil>)"
        "|%!c(<nil>)|%!U(<nil>)|%!U(<nil>)|%!t(<nil>)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" nil nil nil nil nil nil '
        "nil nil nil nil nil nil nil nil }}",
        "%!f(<nil>)|%!f(<nil>)|%!f(<nil>)|%!f(<nil>)|%!f(<nil>)|%!e(<"
        "nil>)|%!e(<nil>)|%!E(<nil>)|%!g(<nil>)|%!G(<nil>)|%!g(<nil>)"
        "|%!g(<nil>)|%!F(<nil>)|%!b(<nil>)",
    ),
    (
        '{{ printf "%v|%+v|%#v|%T" (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson '
        '"[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") }}',
        '[1 a <nil>]|[1 a <nil>]|[]interface {}{1, "a", interface {}(nil)}|[]interface {}',
    ),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") }}',
        '[%!s(float64=1) a <nil>]|[%!q(float64=1) "a" <nil>]|[0x1p+00 61 <nil>]|[0X1P+00 61 <nil>]|[ '
        "0x1p+00 61 <nil>]|[0x1.0000p+00 0x61 <nil>]",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") '
        '(fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") }}',
        "[%!d(float64=1) %!d(string=a) <nil>]|[%!d(float64=    1) %!d(string=    a) "
        "<nil>]|[%!d(float64=1    ) %!d(string=a    ) <nil>]|[%!d(float64=00001) %!d(string=0000a) "
        "<nil>]|[%!d(float64=+1) %!d(string=a) <nil>]|[%!d(float64= 1) %!d(string=a) "
        "<nil>]|[%!d(float64=1) %!d(string=a) <nil>]|[4503599627370496p-52 %!b(string=a) "
        "<nil>]|[%!o(float64=1) %!o(string=a) <nil>]|[%!o(float64=1.00000) %!o(string=a) "
        "<nil>]|[%!O(float64=1) %!O(string=a) <nil>]|[%!c(float64=1) %!c(string=a) <nil>]|[%!U(float64=1) "
        "%!U(string=a) <nil>]|[%!U(float64=1.00000) %!U(string=a) <nil>]|[%!t(float64=1) %!t(string=a) "
        "<nil>]",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" (fromJson '
        '"[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson '
        '"[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson '
        '"[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson '
        '"[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") (fromJson '
        '"[1,\\"a\\",null]") (fromJson "[1,\\"a\\",null]") }}',
        "[1.000000 %!f(string=a) <nil>]|[1.00 %!f(string=a) <nil>]|[   1.000 %!f(string=       a) "
        "<nil>]|[1.0      %!f(string=a       ) <nil>]|[0001.000 %!f(string=0000000a) <nil>]|[+1.0e+00 "
        "%!e(string=a) <nil>]|[1.000000e+00 %!e(string=a) <nil>]|[1.000000E+00 %!E(string=a) <nil>]|[1 "
        "%!g(string=a) <nil>]|[1 %!G(string=a) <nil>]|[1 %!g(string=a) <nil>]|[1.00000 %!g(string=a) "
        "<nil>]|[1.000000 %!F(string=a) <nil>]|[4503599627370496p-52 %!b(string=a) <nil>]",
    ),
    (
        '{{ printf "%v|%+v|%#v|%T" (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) }}',
        "98|98|0x62|uint8",
    ),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) '
        '(index "abc" 1) (index "abc" 1) }}',
        "%!s(uint8=98)|'b'|62|62| 62|0x62",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" (index "abc" 1) (index "abc" '
        '1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" '
        '1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" '
        '1) (index "abc" 1) }}',
        "98|   98|98   |00098|+98| 98|098|1100010|142|0142|0o142|b|U+0062|U+0062 'b'|%!t(uint8=98)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" (index "abc" 1) (index '
        '"abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index '
        '"abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index "abc" 1) (index '
        '"abc" 1) }}',
        "%!f(uint8=98)|%!f(uint8=98)|%!f(uint8=     098)|%!f(uint8=98      )|%!f(uint8=     "
        "098)|%!e(uint8=+98)|%!e(uint8=98)|%!E(uint8=98)|%!g(uint8=98"
        ")|%!G(uint8=98)|%!g(uint8=098)|%!g(uint8=98)|%!F(uint8=98)|1100010",
    ),
    ("{{ printf \"%v|%+v|%#v|%T\" 'x' 'x' 'x' 'x' }}", "120|120|120|int"),
    ("{{ printf \"%s|%q|%x|%X|% x|%#x\" 'x' 'x' 'x' 'x' 'x' 'x' }}", "%!s(int=120)|'x'|78|78| 78|0x78"),
    (
        "{{ printf \"%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t\" 'x' 'x' 'x' 'x' 'x' "
        "'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' }}",
        "120|  120|120  |00120|+120| 120|120|1111000|170|0170|0o170|x|U+0078|U+0078 'x'|%!t(int=120)",
    ),
    (
        "{{ printf \"%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b\" 'x' 'x' 'x' 'x' "
        "'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' }}",
        "%!f(int=120)|%!f(int=120)|%!f(int=     120)|%!f(int=120     )|%!f(int=     "
        "120)|%!e(int=+120)|%!e(int=120)|%!E(int=120)|%!g(int=120)|%!"
        "G(int=120)|%!g(int=120)|%!g(int=120)|%!F(int=120)|1111000",
    ),
    (
        '{{ printf "%v|%+v|%#v|%T" __timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month }}',
        "January|January|1|time.Month",
    ),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" __timestamp__.Month __timestamp__.Month __timestamp__.Month '
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month }}",
        'January|"January"|4a616e75617279|4A616E75617279|4a 61 6e 75 61 72 79|0x4a616e75617279',
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" __timestamp__.Month '
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month "
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month "
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month "
        "__timestamp__.Month __timestamp__.Month }}",
        "1|    1|1    |00001|+1| 1|001|1|1|01|0o1|\x01|U+0001|U+0001|%!t(time.Month=1)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" __timestamp__.Month '
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month "
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month "
        "__timestamp__.Month __timestamp__.Month __timestamp__.Month __timestamp__.Month "
        "__timestamp__.Month }}",
        "%!f(time.Month=1)|%!f(time.Month=01)|%!f(time.Month=     001)|%!f(time.Month=1       "
        ")|%!f(time.Month=     "
        "001)|%!e(time.Month=+1)|%!e(time.Month=1)|%!E(time.Month=1)|"
        "%!g(time.Month=1)|%!G(time.Month=1)|%!g(time.Month=001)|%!g("
        "time.Month=1)|%!F(time.Month=1)|1",
    ),
    (
        '{{ printf "%v|%+v|%#v|%T" (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") }}',
        "+Inf|+Inf|+Inf|float64",
    ),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x" (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") '
        '(float64 "inf") (float64 "inf") }}',
        "%!s(float64=+Inf)|%!q(float64=+Inf)|+Inf|+Inf| Inf|+Inf",
    ),
    (
        '{{ printf "%d|%5d|%-5d|%05d|%+d|% d|%.3d|%b|%o|%#o|%O|%c|%U|%#U|%t" (float64 "inf") (float64 '
        '"inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 '
        '"inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 '
        '"inf") (float64 "inf") }}',
        "%!d(float64=+Inf)|%!d(float64= +Inf)|%!d(float64=+Inf )|%!d(float64= "
        "+Inf)|%!d(float64=+Inf)|%!d(float64= "
        "Inf)|%!d(float64=+Inf)|+Inf|%!o(float64=+Inf)|%!o(float64=+I"
        "nf)|%!O(float64=+Inf)|%!c(float64=+Inf)|%!U(float64=+Inf)|%!"
        "U(float64=+Inf)|%!t(float64=+Inf)",
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%+.1e|%e|%E|%g|%G|%.3g|%#g|%F|%b" (float64 "inf") (float64 '
        '"inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 '
        '"inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 "inf") (float64 '
        '"inf") }}',
        "+Inf|+Inf|    +Inf|+Inf    |    +Inf|+Inf|+Inf|+Inf|+Inf|+Inf|+Inf|+Inf|+Inf|+Inf",
    ),
]
LAYOUTS = [
    ('{{ printf "" }}', ""),
    ('{{ printf "plain" }}', "plain"),
    ('{{ printf "%%" }}', "%"),
    ('{{ printf "100%%|%5%|" }}', "100%|%|"),
    (
        '{{ printf "%10s|%-10s|%.2s|%5.1s|%-5.1s|" "abc" "abc" "abc" "abc" "abc" }}',
        "       abc|abc       |ab|    a|a    |",
    ),
    (
        '{{ printf "%05s|%010.3f|%-010d|%x|%5t|%-7t|" "ab" -3.14159 5 "hi" true false }}',
        "000ab|-00003.142|5         |6869| true|false  |",
    ),
    ('{{ printf "%6.2f|%-8.3f|%e|%g|%G" 3.14159 2.5 1234.5 1e21 1e-7 }}', "  3.14|2.500   |1.234500e+03|1e+21|1E-07"),
    (
        '{{ printf "%g %g %g %g %g %g" 100000.0 1000000.0 1e20 1e21 0.0001 0.00001 }}',
        "100000 1e+06 1e+20 1e+21 0.0001 1e-05",
    ),
    ('{{ printf "%v %v %v %v" 1e20 123456.0 1234567.0 0.000001 }}', "1e+20 123456 1.234567e+06 1e-06"),
    ('{{ printf "%.3g %.10g %.0g %g" 100000.0 0.1 0.5 -0.0 }}', "1e+05 0.1 0.5 -0"),
    ('{{ printf "%q %+q %#q %#+q" "é`" "é" "raw" "é" }}', '"é`" "\\u00e9" `raw` `é`'),
    ('{{ printf "%q %+q %#q %c" 233 233 233 128512 }}', "'é' '\\u00e9' 'é' 😀"),
    ('{{ printf "%U %#U %.6U %12U|" 233 128512 65 65 }}', "U+00E9 U+1F600 '😀' U+000041       U+0041|"),
    ('{{ printf "%s %v %d" .nosuch .nosuch (len .msg) }}', "  21"),
    ('{{ printf "%d" "str" }}', "%!d(string=str)"),
    ('{{ printf "%s" 5 }}', "%!s(int=5)"),
    ('{{ printf "%s" true }}', "%!s(bool=true)"),
    ('{{ printf "%f" 5 }}', "%!f(int=5)"),
    ('{{ printf "%t" 1 }}', "%!t(int=1)"),
    ('{{ printf "%d %d" 1 }}', "1 %!d(MISSING)"),
    ('{{ printf "%d" 1 2 }}', "1%!(EXTRA int=2)"),
    ('{{ printf "x" nil "a" 1.5 }}', "x%!(EXTRA <nil>, string=a, float64=1.5)"),
    ('{{ printf "%!" }}', "%!!(MISSING)"),
    ('{{ printf "%z" 1 }}', "%!z(int=1)"),
    ('{{ printf "%" }}', "%!(NOVERB)"),
    ('{{ printf "%5" }}', "%!(NOVERB)"),
    ('{{ printf "%日" 1 }}', "%!日(int=1)"),
    ('{{ printf "%[2]s %[1]s" "a" "b" }}', "b a"),
    ('{{ printf "%[3]d" 1 }}', "%!d(BADINDEX)"),
    ('{{ printf "%[x]d" 1 }}', "%!d(BADINDEX)"),
    ('{{ printf "%[1" 1 }}', "%!(NOVERB)"),
    ('{{ printf "%[2]*[1]d|" 1 5 }}', "    1|"),
    ('{{ printf "%*d|%-*d|%*d|" 5 42 5 42 -5 42 }}', "   42|42   |42   |"),
    ('{{ printf "%.*f" 2 3.14159 }}', "3.14"),
    ('{{ printf "%*d" "x" 1 }}', "%!(BADWIDTH)1"),
    ('{{ printf "%.*d" -1 5 }}', "%!(BADPREC)5"),
    ('{{ printf "%*d" 10000000 1 }}', "%!(BADWIDTH)1"),
    ('{{ printf "%w" 1 }}', "%!w(int=1)"),
    ('{{ printf "%s" nil }}', "%!s(<nil>)"),
    ('{{ printf "%d" nil }}', "%!d(<nil>)"),
    ('{{ printf "%s|%v|%d" (fromJson "[1,\\"a\\"]") . (fromJson "[1,2]") | len }}', "261"),
    (
        '{{ printf "%v %d %s" (fromJson "{\\"b\\":1,\\"a\\":[2]}") (fromJson "{\\"b\\":1}") (fromJson '
        '"{\\"b\\":\\"x\\"}") }}',
        "map[a:[2] b:1] map[%!d(string=b):%!d(float64=1)] map[b:x]",
    ),
    (
        '{{ printf "%#v %#v %#v" (fromJson "{\\"b\\":1,\\"a\\":[2,null]}") (index "a" 0) 1e6 }}',
        'map[string]interface {}{"a":[]interface {}{2, interface {}(nil)}, "b":1} 0x61 1e+06',
    ),
    (
        '{{ printf "%s %v %d %T" __timestamp__ __timestamp__ __timestamp__.Month __timestamp__ }}',
        "2026-01-15 10:00:35.359587542 +0000 UTC 2026-01-15 10:00:35.359587542 +0000 UTC 1 time.Time",
    ),
    ('{{ printf "%x %X" __timestamp__.Month __timestamp__.Weekday }}', "4a616e75617279 5468757273646179"),
    ('{{ printf "%5d|%v" __timestamp__.Weekday __timestamp__.Weekday }}', "    4|Thursday"),
    (
        '{{ printf "%v %d %s" (__timestamp__.Sub (unixToTime "1768471200")) (__timestamp__.Sub (unixToTime '
        '"1768471200")) (__timestamp__.Sub (unixToTime "1768471200")) }}',
        "35.359587542s 35359587542 35.359587542s",
    ),
    (
        '{{ printf "%T %T %T %T %T %T %T %T" "" 1 (add 1) 1.5 true nil (fromJson "[]") (fromJson "{}") }}',
        "string int int64 float64 bool <nil> []interface {} map[string]interface {}",
    ),
    ('{{ printf "%T %T %T" . (index "a" 0) __timestamp__.Month }}', "map[string]string uint8 time.Month"),
    (
        '{{ printf "%x %.1x %X %b" 3.75 3.75 0.1 0.1 }}',
        "0x1.ep+01 0x1.ep+01 0X1.999999999999AP-04 7205759403792794p-56",
    ),
    ('{{ printf "%+v %+d % d %+.2f % .2f" 1 1 1 1.5 1.5 }}', "1 +1  1 +1.50  1.50"),
    ('{{ printf "%6v|%-6v|%06v|%6v|" 1.5 "ab" 7 true }}', "   1.5|ab    |000007|  true|"),
]


@pytest.mark.parametrize(("template", "expected"), VALUES)
def test_values_in_all_verbs(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(("template", "expected"), LAYOUTS)
def test_layouts_and_complaints(render: Callable[[str], str], template: str, expected: str) -> None:
    assert render(template) == expected
