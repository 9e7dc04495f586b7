"""Results of range aggregations over time that is past, kept for the next query that asks for the same.

The steps of a query are cut into intervals. What a leaf, or an aggregation of its series, gives at the steps of an
interval is a function of the entries that its windows hold. These are all in index objects, which never change, if no
write-ahead log has any and nothing of them is hidden; so the result is filed under the names of the index objects that
may hold them. A late push, a flush, a compaction or a deletion changes the names or shows in the view, and the result
is no longer found: nothing is ever invalidated. Both before and after something is computed, the view is looked at.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter

from log_aggregator import __version__
from log_aggregator.clock import Clock, timeout
from log_aggregator.engine.range_vector import range_span
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Sample, Vector
from log_aggregator.formats.cached_result import CachedResult, decode_result, encode_result, table_of
from log_aggregator.formats.errors import CorruptData, UnknownVersion
from log_aggregator.logql.ast import MetricExpr, RangeAggregation
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.model.limits import Limits
from log_aggregator.model.lru import SizedLru
from log_aggregator.model.tenants import are_several
from log_aggregator.services.damage import current_damage
from log_aggregator.services.scan import Scanner, View
from log_aggregator.wal.errors import WalFull, WalUnavailable
from log_aggregator.wal.result_slots import ResultSlots

logger = logging.getLogger(__name__)

_CACHE_BYTES: Final = 16 << 20
_MAX_RESULT_BYTES: Final = 1 << 20
_DIGEST_BYTES: Final = 16
# Redis must not hold up a query for what can be computed.
_REDIS_SECONDS: Final = 1.0

Compute = Callable[[Steps], Awaitable[Sequence[Vector]]]


@dataclass(frozen=True, slots=True)
class Piece:
    """The steps of one interval. If `is_closed`, the query asks for all there are, and entries have ceased to come."""

    steps: Steps
    is_closed: bool


class ResultsCacheMetrics:
    """Of one process. See docs/metrics.md."""

    def __init__(self, registry: CollectorRegistry) -> None:
        results = Counter(
            "log_aggregator_cached_results_total",
            "Intervals of metric queries whose results were found or had to be computed and were kept",
            ["outcome"],
            registry=registry,
        )
        self.found, self.computed = results.labels("found"), results.labels("computed")


class ResultsCache:
    """Raises what `Scanner.view` raises."""

    def __init__(
        self,
        scanner: Scanner,
        slots: ResultSlots,
        limits_of: Callable[[str], Limits],
        clock: Clock,
        metrics: ResultsCacheMetrics,
        period_ns: int,
    ) -> None:
        self._scanner = scanner
        self._slots = slots
        self._limits_of = limits_of
        self._clock = clock
        self._metrics = metrics
        self._period_ns = period_ns
        self._cache: SizedLru[bytes, bytes] = SizedLru(_CACHE_BYTES)

    async def vectors(self, tenant: str, expr: MetricExpr, steps: Steps, compute: Compute) -> Sequence[Vector]:
        """The vector of every step, of an expression with one range aggregation.

        `compute` gives those of any steps, and what it raises is raised.
        """
        (leaf,) = leaves_of(expr)
        pieces = self._pieces(tenant, leaf, steps)
        if not any(piece.is_closed for piece in pieces):
            return await compute(steps)
        digests = await self._digests(tenant, expr, pieces)
        found = await self._find(set(digests.values()))
        known = {piece: found[digest] for piece, digest in digests.items() if digest in found}
        self._metrics.found.inc(len(known))
        vectors: list[Vector] = []
        computed: dict[Piece, Sequence[Vector]] = {}
        for together in _together(pieces, known):
            if together[0] in known:
                vectors += known[together[0]]
                continue
            first, last = together[0].steps, together[-1].steps
            gap = await compute(Steps(first.first_ns, last.last_ns, steps.step_ns))
            vectors += gap
            computed |= _divided(together, gap)
        await self._keep(tenant, expr, {piece: own for piece, own in computed.items() if piece in digests}, digests)
        return vectors

    def _pieces(self, tenant: str, leaf: RangeAggregation, steps: Steps) -> list[Piece]:
        limits = self._limits_of(tenant) if not are_several(tenant) else None
        # A window longer than the interval would be read again for each, and an interval of 0 switches the cache off.
        if limits is None or len(steps) == 1 or leaf.range.range_ns > limits.split_queries_by_interval:
            return [Piece(steps, False)]
        fresh_ns = self._clock.now_ns() - limits.max_cache_freshness_per_query
        return pieces_of(leaf, steps, limits.split_queries_by_interval, fresh_ns)

    async def _digests(self, tenant: str, expr: MetricExpr, pieces: Sequence[Piece]) -> dict[Piece, bytes]:
        """What tells the results of closed pieces from others, for those whose entries are all in index objects."""
        (leaf,) = leaves_of(expr)
        spans = {piece: range_span(leaf, piece.steps) for piece in pieces if piece.is_closed}
        start_ns, end_ns = min(start for start, _ in spans.values()), max(end for _, end in spans.values())
        view = await self._scanner.view(tenant, start_ns, end_ns)
        return await asyncio.to_thread(self._named, tenant, expr, spans, view)

    def _named(
        self, tenant: str, expr: MetricExpr, spans: Mapping[Piece, tuple[int, int]], view: View
    ) -> dict[Piece, bytes]:
        beginning = msgspec.json.encode([__version__, tenant, repr(expr)])
        unflushed = [(record.header.min_ns, record.header.max_ns) for record, _ in view.records]
        # A compacted index object's name leaves its end open, which is the end of its period at most.
        stored = [
            (key.min_ns, min(key.max_ns, key.period_start_ns + self._period_ns - 1), key.key) for key in view.indexes
        ]
        digests = {}
        for piece, (start_ns, end_ns) in spans.items():
            if any(low < end_ns and start_ns <= high for low, high in unflushed):
                continue
            if view.hidden is not None and view.hidden.between(start_ns, end_ns - 1) is not None:
                continue
            keys = sorted(key for low, high, key in stored if low < end_ns and start_ns <= high)
            steps = piece.steps
            ending = msgspec.json.encode([steps.first_ns, steps.last_ns, steps.step_ns, keys])
            digests[piece] = hashlib.blake2b(beginning + ending, digest_size=_DIGEST_BYTES).digest()
        return digests

    async def _find(self, digests: set[bytes]) -> dict[bytes, list[Vector]]:
        held = {digest: data for digest in digests if (data := self._cache.get(digest)) is not None}
        missing = [digest for digest in digests if digest not in held]
        if missing:
            with suppress(WalUnavailable, TimeoutError):
                async with timeout(_REDIS_SECONDS):
                    stored = await self._slots.get(missing)
                held |= {digest: data for digest, data in zip(missing, stored, strict=True) if data is not None}
        decoded = await asyncio.to_thread(_decoded, held)
        for digest in missing:
            if digest in decoded:
                self._cache.put(digest, held[digest], len(held[digest]))
        return decoded

    async def _keep(
        self,
        tenant: str,
        expr: MetricExpr,
        computed: Mapping[Piece, Sequence[Vector]],
        digests: Mapping[Piece, bytes],
    ) -> None:
        """What was computed from what is still there."""
        if not computed or current_damage():
            return
        now = await self._digests(tenant, expr, list(computed))
        same = {digests[piece]: vectors for piece, vectors in computed.items() if now.get(piece) == digests[piece]}
        results = await asyncio.to_thread(_encoded, same)
        self._metrics.computed.inc(len(results))
        for digest, data in results.items():
            self._cache.put(digest, data, len(data))
        with suppress(WalUnavailable, WalFull, TimeoutError):
            async with timeout(_REDIS_SECONDS):
                await self._slots.put(results)


def pieces_of(leaf: RangeAggregation, steps: Steps, interval_ns: int, fresh_ns: int) -> list[Piece]:
    """The steps cut where multiples of the interval lie. Entries from `fresh_ns` on may still come."""
    pieces = []
    first_ns = steps.first_ns
    while first_ns <= steps.last_ns:
        interval_end_ns = first_ns - first_ns % interval_ns + interval_ns
        # The last step before the end of the interval, or of the query.
        in_interval_ns = first_ns + (interval_end_ns - 1 - first_ns) // steps.step_ns * steps.step_ns
        own = Steps(first_ns, min(in_interval_ns, steps.last_ns), steps.step_ns)
        is_whole = own.last_ns == in_interval_ns and first_ns - steps.step_ns < interval_end_ns - interval_ns
        pieces.append(Piece(own, is_whole and range_span(leaf, own)[1] <= fresh_ns))
        first_ns = own.last_ns + steps.step_ns
    return pieces


def _together(pieces: Sequence[Piece], known: Mapping[Piece, Sequence[Vector]]) -> list[list[Piece]]:
    """Those that are known one by one, neighbours that are not in one list."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if groups and piece not in known and groups[-1][0] not in known:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _divided(pieces: Sequence[Piece], vectors: Sequence[Vector]) -> dict[Piece, Sequence[Vector]]:
    divided, begin = {}, 0
    for piece in pieces:
        divided[piece] = vectors[begin : begin + len(piece.steps)]
        begin += len(piece.steps)
    return divided


def _encoded(results: Mapping[bytes, Sequence[Vector]]) -> dict[bytes, bytes]:
    encoded = {digest: encode_result(CachedResult(digest, *table_of(vectors))) for digest, vectors in results.items()}
    return {digest: data for digest, data in encoded.items() if len(data) <= _MAX_RESULT_BYTES}


def _decoded(results: Mapping[bytes, bytes]) -> dict[bytes, list[Vector]]:
    """Those that are what they are taken for."""
    decoded = {}
    for digest, data in results.items():
        try:
            result = decode_result(data)
        except UnknownVersion:
            continue
        except CorruptData as error:
            logger.warning("a cached result is damaged and not used", extra={"error": str(error)})
            continue
        if result.digest == digest:
            series = result.series
            decoded[digest] = [[Sample(series[number], value) for number, value in step] for step in result.steps]
    return decoded
