"""How `json` and `logfmt` stages read lines of each number that a column of shapes may have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from log_aggregator.engine.label_reader import JSON, LOGFMT, NOTHING, UNKNOWN
from log_aggregator.engine.shapes import IRREGULAR_JSON, NUMBERS, TEXT, Shape
from log_aggregator.engine.structured_parsers import StructuredParsers


@dataclass(frozen=True, slots=True)
class ShapeTable:
    """By number: the codes of `label_reader`, and whether the logfmt parser finds something in lines with a `=`.

    `codes_without_store` are the codes where a field that matters is not stored. `names` are the fields that may be
    found in lines of all the shapes. `labels_found` are the labels that extractions of logfmt give a value, shape by
    shape; without such extractions there are none.
    """

    shapes: Sequence[Shape]
    codes: npt.NDArray[np.uint8]
    codes_without_store: npt.NDArray[np.uint8]
    has_pairs: npt.NDArray[np.bool_]
    names: frozenset[str]
    labels_found: Sequence[frozenset[str]]


def shape_table(parsers: StructuredParsers, shapes: Sequence[Shape]) -> ShapeTable:
    """Of a batch with these shapes, which have the numbers from 1 on."""
    own = [_code(parsers, shape) for shape in shapes]
    codes, has_pairs = np.full(NUMBERS, UNKNOWN, np.uint8), np.zeros(NUMBERS, np.bool_)
    numbers = slice(1, len(shapes) + 1)
    codes[numbers] = own
    codes[IRREGULAR_JSON:] = _codes_of_others(parsers)
    codes_without_store = codes.copy()
    irregular = codes_without_store[IRREGULAR_JSON:TEXT]
    irregular[irregular != NOTHING] = UNKNOWN
    if parsers.logfmt is not None:
        has_pairs[numbers] = [shape.parser != "logfmt" for shape in shapes]
        has_pairs[IRREGULAR_JSON] = True
    names = {name for shape, code in zip(shapes, own, strict=True) if code in (JSON, LOGFMT) for name in shape.names}
    follows_order = parsers.logfmt is not None and parsers.logfmt.extractions
    found = tuple(map(parsers.labels_found, shapes)) if follows_order else ()
    return ShapeTable(shapes, codes, codes_without_store, has_pairs, frozenset(names), found)


def _code(parsers: StructuredParsers, shape: Shape) -> int:
    """How lines of the shape are read."""
    if shape.parser == "text":
        return _codes_of_others(parsers)[TEXT - IRREGULAR_JSON]  # in which there may be pairs
    if shape.parser == "json":
        if parsers.logfmt is not None and not parsers.is_lenient:
            return UNKNOWN
        if parsers.json is None:
            return NOTHING
        return JSON if parsers.has_all_paths(shape) else UNKNOWN
    if parsers.logfmt is None:
        return UNKNOWN if parsers.extracted else NOTHING
    taken = [label for label, key in parsers.extracted.items() if label != key and label in shape.names]
    return UNKNOWN if taken else LOGFMT


def _codes_of_others(parsers: StructuredParsers) -> tuple[int, int, int, int]:
    """How irregular JSON, irregular logfmt, text, and text with pairs are read."""
    json, logfmt, is_unnamed = parsers.json is not None, parsers.logfmt is not None, not parsers.extracted
    if json and not is_unnamed:
        return UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN
    if not logfmt:
        return JSON, NOTHING, NOTHING, NOTHING
    if not parsers.is_lenient:
        return UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN
    return JSON if json else NOTHING, LOGFMT if is_unnamed else UNKNOWN, NOTHING, UNKNOWN
