"""Names of objects in the store. See docs/format/keys.md.

    @index-period
    <tenant>/index/<period>/<span>.<wal>.<epoch>.<first>.<last>.idx
    <tenant>/index/<period>/compacted.<generation>.idx
    <tenant>/index/<period>/compacted.00000001.begun.idx
    <tenant>/chunks/<period>/<wal>.<epoch>.<first>.<last>.<n>.parquet
    <tenant>/chunks/<period>/compacted.<generation>.<run>.<n>.parquet
    <tenant>/deletes/<request>.json
    <tenant>/deletes/<request>.progress

Names of a flush follow from the position in a write-ahead log, so a repeated step writes the same object; an index
object's name alone tells its time span and what it covers, so that listing names is enough to prune and to settle
overlaps. Of the compacted index objects of a period the one of the highest generation counts; what it covers is in it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Final

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.position import Coverage, Position

INDEX_PERIOD_KEY = "@index-period"
"""No tenant's name has such a character, and nothing that lists tenants lists objects at the root."""
INDEX_SUFFIX = ".idx"
CHUNK_SUFFIX = ".parquet"
DELETE_REQUEST_SUFFIX = ".json"
DELETE_PROGRESS_SUFFIX = ".progress"
COMPACTED = "compacted"
BEGUN = 1
"""The generation of the empty index object with which the compaction of a period begins."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PERIOD_FORM = "%Y-%m-%dT%H%MZ"
SECOND_NS = 1_000_000_000
_REMEMBERED_KEYS: Final = 1 << 14  # of a kilobyte each
_OPEN_END_NS = (1 << 63) - 1


class UnknownKey(LogAggregatorError):
    """A key below an index prefix that this program did not write."""

    code: ClassVar[ErrorCode] = ErrorCode.CORRUPT


@dataclass(frozen=True, slots=True)
class IndexKey:
    """What an index object's key tells. Times are nanoseconds, both inclusive.

    `generation` is 0 for what a flush wrote, which has one coverage. The name of a compacted one leaves the coverages
    and the end open; the catalog completes the coverages from the object.
    """

    key: str
    period_start_ns: int
    min_ns: int
    max_ns: int
    coverages: tuple[Coverage, ...] = field(repr=False)
    generation: int = 0

    @property
    def tenant(self) -> str:
        return self.key.partition("/")[0]

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether it may hold entries in `[start_ns, end_ns)`."""
        return self.min_ns < end_ns and start_ns <= self.max_ns


def period_start(timestamp_ns: int, period_ns: int) -> int:
    """The start of the index period that holds the timestamp."""
    return timestamp_ns - timestamp_ns % period_ns


def period_name(start_ns: int) -> str:
    """`2026-01-15T0000Z`. Periods start on whole minutes."""
    return (_EPOCH + timedelta(seconds=start_ns // SECOND_NS)).strftime(_PERIOD_FORM)


def parse_period(name: str) -> int:
    """Nanoseconds at which the period starts. Raises UnknownKey."""
    try:
        start = datetime.strptime(name, _PERIOD_FORM).replace(tzinfo=UTC)
    except ValueError as error:
        raise UnknownKey(f"not an index period: {name!r}") from error
    return int((start - _EPOCH).total_seconds()) * SECOND_NS


def index_prefix(tenant: str) -> str:
    return f"{tenant}/index/"


def period_prefix(tenant: str, period_start_ns: int) -> str:
    return f"{index_prefix(tenant)}{period_name(period_start_ns)}/"


def is_of_period(key: str) -> bool:
    """Whether it names an object that lies in the directory of an index period."""
    return key.count("/") == 3  # of the tenant, the kind and the period


def index_key(tenant: str, period_start_ns: int, min_ns: int, max_ns: int, coverage: Coverage) -> str:
    span = f"{min_ns}_{max_ns}"
    return f"{period_prefix(tenant, period_start_ns)}{span}.{_covered(coverage)}{INDEX_SUFFIX}"


def chunk_key(tenant: str, period_start_ns: int, coverage: Coverage, number: int) -> str:
    return f"{chunk_period_prefix(tenant, period_start_ns)}{_covered(coverage)}.{number}{CHUNK_SUFFIX}"


def chunks_prefix(tenant: str) -> str:
    return f"{tenant}/chunks/"


def chunk_period_prefix(tenant: str, period_start_ns: int) -> str:
    return f"{chunks_prefix(tenant)}{period_name(period_start_ns)}/"


def begun_index_key(tenant: str, period_start_ns: int) -> str:
    """Another name than that of 0.1.0's first generation, which was not empty."""
    return f"{period_prefix(tenant, period_start_ns)}{COMPACTED}.{BEGUN:08}.begun{INDEX_SUFFIX}"


def compacted_index_key(tenant: str, period_start_ns: int, generation: int) -> str:
    """Zero-padded, so that the newest generation is listed last."""
    return f"{period_prefix(tenant, period_start_ns)}{COMPACTED}.{generation:08}{INDEX_SUFFIX}"


def compacted_chunk_key(tenant: str, period_start_ns: int, generation: int, run: str, number: int) -> str:
    name = f"{COMPACTED}.{generation:08}.{run}.{number}{CHUNK_SUFFIX}"
    return f"{chunk_period_prefix(tenant, period_start_ns)}{name}"


def deletes_prefix(tenant: str) -> str:
    return f"{tenant}/deletes/"


def delete_request_key(tenant: str, request_id: str) -> str:
    return f"{deletes_prefix(tenant)}{request_id}{DELETE_REQUEST_SUFFIX}"


def delete_progress_key(tenant: str, request_id: str) -> str:
    return f"{deletes_prefix(tenant)}{request_id}{DELETE_PROGRESS_SUFFIX}"


def run_of_chunk(key: str) -> str:
    """What the chunks of one flush or of one compaction have in common: their keys without the number."""
    return key.removesuffix(CHUNK_SUFFIX).rpartition(".")[0]


@lru_cache(_REMEMBERED_KEYS)  # each query meets those of all the periods that it touches again
def parse_index_key(key: str) -> IndexKey:
    """Raises UnknownKey."""
    try:
        period, name = key.removesuffix(INDEX_SUFFIX).rsplit("/", 2)[1:]
        start, parts = parse_period(period), name.split(".")
        if parts[0] == COMPACTED:
            return IndexKey(key, start, start, _OPEN_END_NS, (), int(parts[1]))
        span, wal, epoch, first, last = parts
        low, high = span.split("_")
        coverage = Coverage(wal, int(epoch), Position.parse(first), Position.parse(last))
        return IndexKey(key, start, int(low), int(high), (coverage,))
    except (ValueError, IndexError) as error:
        raise UnknownKey(f"not the key of an index object: {key!r}") from error


def _covered(coverage: Coverage) -> str:
    return f"{coverage.wal}.{coverage.epoch}.{coverage.first}.{coverage.last}"
