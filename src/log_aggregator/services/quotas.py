"""Limits that hold over all replicas together: bytes a second and active streams of a tenant, counted in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from log_aggregator.clock import Clock
from log_aggregator.model.labels import Labels, fingerprint
from log_aggregator.model.limits import Limits
from log_aggregator.model.lru import SizedLru
from log_aggregator.wal.connection import translated
from log_aggregator.wal.names import Names

_TAKE = """
-- A token bucket. KEYS: bucket.  ARGV: bytes a second, burst bytes, amount, bytes ahead, bytes given back.
-- How many bytes may pass: the amount, and what there is of those ahead; -1 if there is less than the amount.
local now = redis.call('TIME')
local seconds = tonumber(now[1]) + tonumber(now[2]) / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if state[1] then
  local since = math.max(0, seconds - tonumber(state[2]))
  tokens = math.min(burst, tonumber(state[1]) + since * rate + tonumber(ARGV[5]))
end
local amount, passed = tonumber(ARGV[3]), -1
if amount <= tokens then
  passed = math.max(amount, math.min(math.floor(tokens), amount + tonumber(ARGV[4])))
  tokens = tokens - passed
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', seconds))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return passed
"""

_ENTER = """
-- Active streams. KEYS: sorted set.  ARGV: idle ms, limit (0: none), fingerprint...  For each whether it may enter.
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms - tonumber(ARGV[1]))
local limit, count = tonumber(ARGV[2]), redis.call('ZCARD', KEYS[1])
local passed = {}
for i = 3, #ARGV do
  local known = redis.call('ZSCORE', KEYS[1], ARGV[i])
  local may = known or limit == 0 or count < limit
  if may then
    redis.call('ZADD', KEYS[1], ms, ARGV[i])
    if not known then count = count + 1 end
  end
  passed[i - 2] = may and 1 or 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return passed
"""

_MEGABYTE = 1 << 20
# Each process takes what a tenant may send in this time at once, so that small pushes need not all ask. What it has not
# used in so much longer it gives back when it asks again.
_AHEAD_SECONDS = 0.02
_AHEAD_KEPT_SECONDS = 0.5
_DEFAULT_CACHE_BYTES = 128 << 20
_RECENT_ENTRY_BYTES = 500


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_seconds: float


@dataclass(slots=True)
class _Ahead:
    """What is this process's of a bucket in Redis."""

    bytes: int = 0
    at_seconds: float = 0
    is_growing: bool = False


class Quotas:
    """Raises WalUnavailable, WalFull: without Redis nothing could be stored either."""

    def __init__(
        self,
        redis: Redis,
        names: Names,
        clock: Clock,
        idle_ns: int,
        holder: str,
        cache_bytes: int = _DEFAULT_CACHE_BYTES,
    ) -> None:
        self._names = names
        self._clock = clock
        self._idle_ms = max(idle_ns // 1_000_000, 1000)
        self._holder = holder
        self._take = redis.register_script(_TAKE)
        self._enter = redis.register_script(_ENTER)
        self._recent: SizedLru[tuple[str, Labels], float] = SizedLru(cache_bytes // 2)
        self._stream_buckets: SizedLru[tuple[str, Labels], _Bucket] = SizedLru(cache_bytes // 4)
        self._ahead: SizedLru[str, _Ahead] = SizedLru(cache_bytes // 4)

    async def admit_bytes(self, tenant: str, limits: Limits, amount: int) -> bool:
        """Whether the tenant may ingest this many bytes now; they are counted if so."""
        bucket = self._ingestion_bucket(tenant, limits)
        ahead = self._ahead_of(bucket)
        now = self._clock.monotonic_seconds()
        if amount <= ahead.bytes and now - ahead.at_seconds < _AHEAD_KEPT_SECONDS:
            ahead.bytes -= amount
            return True
        # One at a time takes more than it needs: many would leave too little for themselves.
        grows = not ahead.is_growing
        ahead.is_growing = True
        try:
            if await self._took(bucket, ahead, limits, amount, _AHEAD_SECONDS if grows else 0):
                return True
        finally:
            if grows:
                ahead.is_growing = False
        # Another push may have taken ahead what this one lacks.
        return ahead.bytes > 0 and await self._took(bucket, ahead, limits, amount, 0)

    async def _took(self, bucket: str, ahead: _Ahead, limits: Limits, amount: int, ahead_seconds: float) -> bool:
        """Whether the bucket had the amount, for which what is left of an earlier one is given back."""
        rate, burst = limits.ingestion_rate_mb * _MEGABYTE, limits.ingestion_burst_size_mb * _MEGABYTE
        back, ahead.bytes, ahead.at_seconds = ahead.bytes, 0, self._clock.monotonic_seconds()
        args = [rate, burst, amount, int(rate * ahead_seconds), back]
        with translated("count ingested bytes"):
            passed = await self._take(keys=[bucket], args=args)
        if passed < amount:
            return False
        ahead.bytes += passed - amount
        return True

    def give_back_bytes(self, tenant: str, limits: Limits, amount: int) -> None:
        """What was admitted and is not ingested after all."""
        self._ahead_of(self._ingestion_bucket(tenant, limits)).bytes += amount

    def _ingestion_bucket(self, tenant: str, limits: Limits) -> str:
        bucket = self._names.ingestion_bucket(tenant)
        return f"{bucket}:{self._holder}" if limits.ingestion_rate_strategy == "local" else bucket

    def _ahead_of(self, bucket: str) -> _Ahead:
        ahead = self._ahead.get(bucket)
        if ahead is None:
            ahead = _Ahead()
            self._ahead.put(bucket, ahead, _RECENT_ENTRY_BYTES)
        return ahead

    async def admit_streams(self, tenant: str, limits: Limits, streams: Sequence[Labels]) -> list[bool]:
        """For each stream whether it is active already or may become so."""
        now = self._clock.monotonic_seconds()
        fresh_until = self._idle_ms / 4000
        unsure = [
            number
            for number, labels in enumerate(streams)
            if now - (self._recent.get((tenant, labels)) or -fresh_until) >= fresh_until
        ]
        passed = [True] * len(streams)
        if not unsure:
            return passed
        prints = [f"{fingerprint(streams[number]):016x}" for number in unsure]
        args: list[int | str] = [self._idle_ms, limits.max_global_streams_per_user, *prints]
        with translated("count active streams"):
            answers = await self._enter(keys=[self._names.active_streams(tenant)], args=args)
        for number, answer in zip(unsure, answers, strict=True):
            passed[number] = bool(answer)
            if answer:
                self._recent.put((tenant, streams[number]), now, _RECENT_ENTRY_BYTES)
        return passed

    def admit_stream_bytes(self, tenant: str, limits: Limits, labels: Labels, amount: int) -> bool:
        """The rate limit of one stream, counted in this process: an agent sends a stream to one replica at a time."""
        return self.admit_all_stream_bytes(tenant, limits, (labels,), (amount,))

    def admit_all_stream_bytes(
        self, tenant: str, limits: Limits, streams: Sequence[Labels], amounts: Sequence[int]
    ) -> bool:
        """The same of several distinct streams: of all or of none."""
        now = self._clock.monotonic_seconds()
        buckets = [self._stream_bucket(tenant, limits, labels, now) for labels in streams]
        if any(amount > bucket.tokens for bucket, amount in zip(buckets, amounts, strict=True)):
            return False
        for bucket, amount in zip(buckets, amounts, strict=True):
            bucket.tokens -= amount
        return True

    def _stream_bucket(self, tenant: str, limits: Limits, labels: Labels, now: float) -> _Bucket:
        rate, burst = limits.per_stream_rate_limit, limits.per_stream_rate_limit_burst
        bucket = self._stream_buckets.get((tenant, labels))
        if bucket is None:
            bucket = _Bucket(burst, now)
            self._stream_buckets.put((tenant, labels), bucket, _RECENT_ENTRY_BYTES)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at_seconds) * rate)
        bucket.at_seconds = now
        return bucket
