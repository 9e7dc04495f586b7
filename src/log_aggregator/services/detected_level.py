"""Detected levels for a whole batch: stream labels and metadata first, the lines only where these say nothing."""

from collections.abc import Mapping, Sequence

import polars as pl

from log_aggregator.model.labels import Labels
from log_aggregator.services.level import (
    DETECTED_LEVEL,
    SEVERITY_NUMBER,
    LevelLimits,
    level_fields,
    level_of_labels,
    level_of_metadata,
    normal_level,
)
from log_aggregator.services.level_columns import levels_of_lines


def detect_levels(
    streams: Sequence[Labels],
    stream_of_row: Sequence[int],
    lines: pl.Series,
    metadata: Sequence[Mapping[str, str]],
    limits: LevelLimits,
) -> pl.Series:
    """The value that metadata `detected_level` must have in each row, as strings.

    `metadata` has clean names and no empty values; it is empty when no row has any.
    """
    fields = level_fields(limits)
    depth = limits.log_level_from_json_max_depth
    level_of_stream = [level_of_labels(labels, fields) for labels in streams]
    if not metadata and not any(level_of_stream):
        return levels_of_lines(lines, fields, depth)
    known = [level_of_stream[stream] for stream in stream_of_row]
    if metadata:
        telling = frozenset((*fields, DETECTED_LEVEL, SEVERITY_NUMBER))
        for row, own in enumerate(metadata):
            if not telling.isdisjoint(own):
                known[row] = _known_level(own, known[row], fields)
    silent = [row for row, level in enumerate(known) if level is None]
    levels = pl.Series(known, dtype=pl.String)
    return levels.scatter(silent, levels_of_lines(lines.gather(silent), fields, depth)) if silent else levels


def _known_level(own: Mapping[str, str], level_of_stream: str | None, fields: Sequence[str]) -> str | None:
    if DETECTED_LEVEL in own:
        return normal_level(own[DETECTED_LEVEL])
    return level_of_stream or level_of_metadata(own, fields)
