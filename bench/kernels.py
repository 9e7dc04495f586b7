"""The steps of ingest and query by themselves, in microseconds of CPU time a line: where a change shows first.

`calibration` is work that has nothing to do with this project, to tell machines apart.
"""

import time
from collections.abc import Callable

import cramjam
import polars as pl
import workload
from client import Figures, body

from log_aggregator.engine.field_columns import choose_fields, field_columns
from log_aggregator.engine.fields import Fields
from log_aggregator.engine.pattern_columns import pattern_columns
from log_aggregator.formats.push import decode_push
from log_aggregator.formats.wal_record import encode_record, record_of
from log_aggregator.model.limits import Limits
from log_aggregator.model.push import Push
from log_aggregator.model.segment import LINE, Segment
from log_aggregator.services.validation import validate

_LINES = 20_000
_REPEAT = 5


def measure() -> Figures:
    """The best of a few runs of each kernel."""
    limits = Limits(reject_old_samples=False)
    pushes = list(workload.batches(_LINES))
    encoded = [body(streams, "protobuf") for streams in pushes]
    plain = [body(streams, "json") for streams in pushes]

    def decoded(bodies: list[bytes], content_type: str) -> list[Push]:
        return [decode_push(one, content_type, None, legacy=False, max_decompressed_bytes=0) for one in bodies]

    decoded_pushes = decoded(encoded, "application/x-protobuf")
    accepted = [validate(push, limits, time.time_ns(), "bench").accepted for push in decoded_pushes]
    segments = [Segment(tuple(batch.streams), batch.frame) for batch in accepted]
    columns = {family: pl.Series(LINE, list(workload.lines(family, _LINES))) for family in workload.FAMILIES}
    text = "".join(columns["json"])
    total = _LINES * len(workload.FAMILIES)
    return {
        "calibration": _us(lambda: cramjam.snappy.compress_raw(text.encode()), _LINES),
        "decode_protobuf": _us(lambda: decoded(encoded, "application/x-protobuf"), total),
        "decode_json": _us(lambda: decoded(plain, "application/json"), total),
        "validate": _us(lambda: [validate(push, limits, time.time_ns(), "bench") for push in decoded_pushes], total),
        "encode_wal": _us(lambda: [encode_record(record_of("bench", one)) for one in segments], total),
        "fields_json": _us(lambda: _fields(columns["json"]), _LINES),
        "fields_logfmt": _us(lambda: _fields(columns["logfmt"]), _LINES),
        "fields_nginx": _us(lambda: _fields(columns["nginx"]), _LINES),
        "filter_substring": _us(lambda: columns["json"].str.contains("deadbeefdeadbeef", literal=True), _LINES),
        "filter_regex": _us(lambda: columns["json"].str.contains("(?i)err[o0]r|status.?50[03]"), _LINES),
        "pattern": _us(lambda: pattern_columns(workload.PATTERN, columns["nginx"], ["method", "status"]), _LINES),
    }


def _fields(lines: pl.Series) -> Fields | None:
    return field_columns(lines, choose_fields(lines))


def _us(kernel: Callable[[], object], lines: int) -> float:
    best = float("inf")
    for _ in range(_REPEAT):
        begun = time.process_time()
        kernel()
        best = min(best, time.process_time() - begun)
    return best / lines * 1e6
