"""How an answer is held against Loki's: what must be equal, and what need not.

The status must be the same; of an error nothing else counts. Streams and series are compared by labels in any order,
numbers with a relative tolerance, the entries of a stream in order; `stats` are left out. A case may say otherwise:

loose         a tolerance for quantiles and deviations
approximate   one for cardinalities, which Loki estimates
shape         numbers do not count: they depend on how the store lays out its chunks
ordered       the values of a vector stand in order; equal ones may swap
unordered     arrays of texts are sets
boundary      the limit cuts through entries of one timestamp, of which only the number counts
ties          entries of equal timestamp in any order
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from corpus import Answer, Case

Json = Any
_TOLERANCES = {"loose": 1e-6, "approximate": 0.05}
_USUAL_TOLERANCE = 1e-9
_LONGEST = 160
# Seconds. Loki rounds some times to milliseconds.
_SAME_TIME = 1e-3


def differences(case: Case, expected: Answer, actual: Answer) -> list[str]:
    """A few of what is not the same in both answers."""
    if expected.status != actual.status:
        return [f"status {expected.status} became {actual.status}: {_brief(actual.body)}"]
    if expected.status >= 300:
        return []
    if isinstance(expected.body, str) or isinstance(actual.body, str):
        return [] if expected.body == actual.body else [_changed("body", expected.body, actual.body)]
    return list(_Comparison(case).answers(_without_stats(expected.body), _without_stats(actual.body)))[:3]


class _Comparison:
    def __init__(self, case: Case) -> None:
        self._options = frozenset(case.compare)
        self._is_forward = case.params.get("direction") == "forward"
        tolerances = [tolerance for option, tolerance in _TOLERANCES.items() if option in self._options]
        self._tolerance = max(tolerances, default=_USUAL_TOLERANCE)

    def answers(self, expected: Json, actual: Json) -> Iterator[str]:
        kind, actual_kind = _result_type(expected), _result_type(actual)
        if kind != actual_kind:
            yield _changed("resultType", kind, actual_kind)
            return
        match kind:
            case "streams":
                yield from self._streams(_result(expected), _result(actual))
            case "matrix":
                yield from self._series(_result(expected), _result(actual), "values")
            case "vector":
                yield from self._series(_result(expected), _result(actual), "value")
            case "scalar":
                yield from self._sample("scalar", _result(expected), _result(actual))
            case _:
                yield from self._documents("body", expected, actual)
                return
        yield from self._documents("body", _without_result(expected), _without_result(actual))

    def _streams(self, expected: list[Json], actual: list[Json]) -> Iterator[str]:
        if "boundary" in self._options:
            stamps = [int(entry[0]) for stream in expected for entry in stream["values"]]
            boundary = str(max(stamps) if self._is_forward else min(stamps))
            expected, count = _without_time(expected, boundary)
            actual, actual_count = _without_time(actual, boundary)
            if count != actual_count:
                yield _changed(f"entries at {boundary}", count, actual_count)
        yield from _labels(expected, actual, "stream")
        for wanted, found in _pairs(expected, actual, "stream"):
            left, right = wanted["values"], found["values"]
            if "ties" in self._options:
                left, right = _ties_sorted(left), _ties_sorted(right)
            if left != right:
                at = next((n for n, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), -1)
                where = f"entry {at} of {_canonical(wanted['stream'])}"
                yield _changed(where, left[at], right[at]) if at >= 0 else _changed(where, len(left), len(right))

    def _series(self, expected: list[Json], actual: list[Json], key: str) -> Iterator[str]:
        yield from _labels(expected, actual, "metric")
        for wanted, found in _pairs(expected, actual, "metric"):
            left, right = (item[key] if key == "values" else [item[key]] for item in (wanted, found))
            where = _canonical(wanted["metric"])
            if "shape" not in self._options:
                yield from self._samples(where, left, right)
        if "ordered" in self._options:
            left, right = ([[0, item[key][1]] for item in items] for items in (expected, actual))
            yield from self._samples("in order", left, right)

    def _samples(self, where: str, expected: list[Json], actual: list[Json]) -> Iterator[str]:
        if len(expected) != len(actual):
            yield _changed(f"samples of {where}", len(expected), len(actual))
        for left, right in zip(expected, actual, strict=False):
            yield from self._sample(where, left, right)

    def _sample(self, where: str, expected: Json, actual: Json) -> Iterator[str]:
        if abs(float(expected[0]) - float(actual[0])) > _SAME_TIME:
            yield _changed(f"time of {where}", expected[0], actual[0])
        elif not self._is_close(float(expected[1]), float(actual[1])):
            yield _changed(f"{where} at {expected[0]}", expected[1], actual[1])

    def _documents(self, where: str, expected: Json, actual: Json) -> Iterator[str]:
        """Any JSON. Arrays of objects are sets: Loki gives them in no order."""
        match expected, actual:
            case dict(), dict():
                if expected.keys() != actual.keys():
                    yield _changed(f"keys of {where}", sorted(expected), sorted(actual))
                for key in expected.keys() & actual.keys():
                    yield from self._documents(f"{where}.{key}", expected[key], actual[key])
            case list(), list():
                if len(expected) != len(actual):
                    yield _changed(where, expected, actual)
                    return
                left, right = self._arranged(expected), self._arranged(actual)
                for number, (one, other) in enumerate(zip(left, right, strict=True)):
                    yield from self._documents(f"{where}[{number}]", one, other)
            case _ if _is_number(expected) and _is_number(actual):
                if not self._is_close(expected, actual):
                    yield _changed(where, expected, actual)
            case _:
                if expected != actual:
                    yield _changed(where, expected, actual)

    def _arranged(self, items: list[Json]) -> list[Json]:
        if any(isinstance(item, dict) for item in items):
            # By what is not a number, so that one that differs a little does not change the pairs.
            return sorted(items, key=lambda item: _canonical({k: v for k, v in item.items() if not _is_number(v)}))
        return sorted(items, key=_canonical) if "unordered" in self._options else items

    def _is_close(self, expected: float, actual: float) -> bool:
        if "shape" in self._options or (math.isnan(expected) and math.isnan(actual)):
            return True
        return math.isclose(expected, actual, rel_tol=self._tolerance, abs_tol=1e-12)


def _result_type(body: Json) -> str | None:
    data = body.get("data") if isinstance(body, dict) else None
    return data.get("resultType") if isinstance(data, dict) else None


def _result(body: Json) -> Json:
    return body["data"]["result"]


def _without_result(body: Json) -> Json:
    return {**body, "data": {key: value for key, value in body["data"].items() if key != "result"}}


def _without_stats(body: Json) -> Json:
    if not isinstance(body, dict):
        return body
    return {key: _without_stats(value) for key, value in body.items() if key != "stats"}


def _without_time(streams: list[Json], stamp: str) -> tuple[list[Json], int]:
    """The streams but for their entries of one time, and how many those are."""
    kept = [{**stream, "values": [entry for entry in stream["values"] if entry[0] != stamp]} for stream in streams]
    removed = sum(len(stream["values"]) for stream in streams) - sum(len(stream["values"]) for stream in kept)
    return [stream for stream in kept if stream["values"]], removed


def _ties_sorted(entries: list[Json]) -> list[Json]:
    return [entry for _, tied in groupby(entries, lambda entry: entry[0]) for entry in sorted(tied, key=_canonical)]


def _labels(expected: Sequence[Json], actual: Sequence[Json], name: str) -> Iterator[str]:
    wanted, found = (sorted(_canonical(item[name]) for item in items) for items in (expected, actual))
    if wanted != found:
        yield _changed("labels", sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted)))


def _pairs(expected: Sequence[Json], actual: Sequence[Json], name: str) -> Iterator[tuple[Json, Json]]:
    """Items of equal labels; `label_replace` may give several of the same."""
    left, right = _grouped(expected, name), _grouped(actual, name)
    for labels in left.keys() & right.keys():
        yield from zip(left[labels], right[labels], strict=False)


def _grouped(items: Sequence[Json], name: str) -> Mapping[str, list[Json]]:
    groups: dict[str, list[Json]] = {}
    for item in sorted(items, key=_canonical):
        groups.setdefault(_canonical(item[name]), []).append(item)
    return groups


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _changed(where: str, expected: Json, actual: Json) -> str:
    return f"{where}: {_brief(expected)} became {_brief(actual)}"


def _brief(value: Json) -> str:
    text = value if isinstance(value, str) else _canonical(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
