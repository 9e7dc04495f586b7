"""Patterns of the rows of a chunk or a record, from a sample of them.

Finding the pattern of a line takes some 15 us, fifty times what a flush may spend on one. So of a large chunk only some
lines are looked at, evenly spread over streams and time, and each counts for all those that it stands for.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import polars as pl

from log_aggregator.engine.log_patterns import Counts, PatternMiner
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.formats.patterns import StoredPattern, StreamPatterns, encode_patterns
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.level import DETECTED_LEVEL

# At least so many lines, and more of a large chunk, but no more than can be stored beside an index.
_FEWEST_LINES = 1024
_SAMPLED_SHARE = 128
_MOST_LINES = 8192


def chunk_patterns(streams: Sequence[Labels], rows: pl.DataFrame) -> bytes:
    """The encoded patterns of rows that are sorted by stream."""
    wanted = min(_MOST_LINES, max(_FEWEST_LINES, rows.height // _SAMPLED_SHARE))
    stride = max(1, -(-rows.height // wanted))
    sample = rows.select(STREAM, TIMESTAMP, LINE, METADATA).gather_every(stride)
    found = []
    for stream, own in groupby(sample.iter_rows(), key=itemgetter(0)):
        miner = PatternMiner()
        for _, timestamp_ns, line, metadata in own:
            miner.add_line(line, level_of(metadata), timestamp_ns, stride)
        patterns = [_stored(*one) for one in miner.patterns()]
        if patterns:
            found.append(StreamPatterns(streams[stream], patterns))
    return encode_patterns(found)


def level_of(metadata: str) -> str:
    """The level that was detected at ingest, if one was."""
    return parse_metadata(metadata).get(DETECTED_LEVEL, "")


def counts_of(stored: StoredPattern) -> Counts:
    counts, time = {}, 0
    for step, count in zip(stored.time_steps, stored.counts, strict=True):
        time += step
        counts[time] = count
    return counts


def _stored(pattern: str, level: str, counts: Counts) -> StoredPattern:
    times = sorted(counts)
    steps = [time - before for before, time in zip([0, *times], times, strict=False)]
    return StoredPattern(pattern, level, steps, [counts[time] for time in times])
