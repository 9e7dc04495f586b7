"""JSON documents as lines: by the book, nearly so, and broken."""

import json

from hypothesis import strategies as st

SCALARS = (
    *("1", "-2.50", "1e5", "1E400", "12345678901234567890123", "true", "false", "null", "NaN", '"s"', '""', '" s "'),
    *(
        r'"\u003ca\u00e9"',
        r'"\uD83D\ude00"',
        r'"\ud800"',
        r'"\uDC00x"',
        r'"\\ud800"',
        r'"\uFFFd"',
        r'"\u0000"',
        r'"\u00"',
    ),
    *(r'"q\"x"', r'"b\\"', r'"t\n"', r'"\/"', r'"\u0041"', '"{a}"', '"[1"', '"é"', '"\ufffd"', '"a:b"', '"\t"'),
)
ESCAPED_KEYS = (r'"\u0061"', r'"\ud800"', r'"\ufffd"', r'"\u003c"', r'"a\u005fb"')
KEYS = ("a", "b", "c", "_entry", "x y", "1x", "a.b", "a_b", " a", "a\t", "a_extracted", "é", 'a"q', 'a"b', "", " ")
spaces = st.sampled_from(("", "", " "))


def joined(opening: str, space: str, parts: list[str], closing: str) -> str:
    return opening + space + f",{space}".join(parts) + closing


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.sampled_from((*(json.dumps(key, ensure_ascii=False) for key in KEYS), *ESCAPED_KEYS))
    members = st.lists(st.builds("{}:{}".format, keys, values), max_size=4)
    return st.builds(joined, st.just("{"), spaces, members, st.just("}"))


values = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: objects(inner) | st.builds(joined, st.just("["), spaces, st.lists(inner, max_size=3), st.just("]")),
    max_leaves=12,
)
lines = st.builds(lambda line, cut, end: line[:cut] + end, objects(values), st.just(None) | st.integers(0, 30), spaces)
