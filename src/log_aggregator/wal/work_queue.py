"""Shares of queries that wait in Redis for a replica with free capacity. See docs/format/redis.md.

Each tenant's shares stand in a stream, which a consumer group hands out one by one; tenants take turns in a list. A
share that is handed out is *pending* for its worker, which shows every now and then that it is alive. A query is
wanted as long as its key exists, which the asking replica renews and at last deletes: so neither workers nor Redis keep
anything for long for a replica that has died. Everything here may be lost at any time: it costs work, never an answer.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from log_aggregator.wal.connection import text, translated
from log_aggregator.wal.names import Names

_FIELD: Final = b"s"
_WANTED_MS: Final = 5_000
"""How long workers go on for a query whose replica does not renew it."""
_KEPT_MS: Final = 600_000
"""How long a share stays that nobody wants any more."""
_SHOWN_MS: Final = 10_000
"""How long a worker counts that does not show up again."""
_MAX_SHARES: Final = 256  # of one tenant: in work, waiting or answered
_MAX_ANSWERS: Final = 4  # of one query that wait to be fetched; a replica that fetches none must not fill Redis

_ADD: Final = """
-- KEYS: query, turns, stream.  ARGV: tenant, wanted ms, kept ms, most shares, share...  Ids of those that found room.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
-- What is that old belongs to an asker and a worker that both have died.
redis.call('XTRIM', KEYS[3], 'MINID', redis.call('TIME')[1] * 1000 - ARGV[3])
local ids = {}
for i = 5, #ARGV do
  if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[4]) then break end
  ids[#ids + 1] = redis.call('XADD', KEYS[3], '*', 's', ARGV[i])
end
if #ids == 0 then return ids end
redis.pcall('XGROUP', 'CREATE', KEYS[3], 'replicas', '0')
redis.call('PEXPIRE', KEYS[3], ARGV[3])
if not redis.call('LPOS', KEYS[2], ARGV[1]) then redis.call('RPUSH', KEYS[2], ARGV[1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return ids
"""

_PULL: Final = """
-- KEYS: turns, stream.  ARGV: tenant, worker.  Id and bytes of a share; the tenant has another turn if more wait.
local found = redis.pcall('XREADGROUP', 'GROUP', 'replicas', ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[2], '>')
if not found or found.err then return false end
local entry = found[1][2][1]
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last[1] ~= entry[1] and not redis.call('LPOS', KEYS[1], ARGV[1]) then redis.call('RPUSH', KEYS[1], ARGV[1]) end
return {entry[1], entry[2][2]}
"""

_GIVE_BACK: Final = """
-- KEYS: turns.  ARGV: tenant, kept ms
if not redis.call('LPOS', KEYS[1], ARGV[1]) then redis.call('RPUSH', KEYS[1], ARGV[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_TAKE: Final = """
-- KEYS: stream.  ARGV: idle ms, id...  The first that nobody works on, or whose worker has been silent for so long.
for i = 2, #ARGV do
  local pending = redis.pcall('XPENDING', KEYS[1], 'replicas', ARGV[i], ARGV[i], 1)
  if pending.err or not pending[1] or pending[1][3] >= tonumber(ARGV[1]) then
    redis.pcall('XACK', KEYS[1], 'replicas', ARGV[i])
    redis.call('XDEL', KEYS[1], ARGV[i])
    return ARGV[i]
  end
end
return false
"""

_SHOW_UP: Final = """
-- KEYS: workers.  ARGV: worker, shown ms.  How many others have shown up lately.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1]) - 1
"""

# What HOLD and ANSWER begin with.
_HELD: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.pcall('XACK', KEYS[2], 'replicas', ARGV[2])
  redis.call('XDEL', KEYS[2], ARGV[2])
  return 0
end
local pending = redis.pcall('XPENDING', KEYS[2], 'replicas', ARGV[2], ARGV[2], 1, ARGV[1])
if pending.err or not pending[1] then return 0 end
redis.call('XCLAIM', KEYS[2], 'replicas', ARGV[1], 0, ARGV[2], 'JUSTID')
"""

_HOLD: Final = f"""
-- KEYS: query, stream.  ARGV: worker, id.  1 if the share is still wanted of this worker.
{_HELD}
return 1
"""

_ANSWER: Final = f"""
-- KEYS: query, stream, answers.  ARGV: worker, id, most answers, kept ms, answer.  As HOLD; the share stays pending.
{_HELD}
if redis.call('LLEN', KEYS[3]) >= tonumber(ARGV[3]) then return 0 end
redis.call('RPUSH', KEYS[3], ARGV[2] .. ' ' .. ARGV[5])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return 1
"""

_END: Final = """
-- KEYS: query, answers, stream.  ARGV: id...
redis.call('DEL', KEYS[1], KEYS[2])
for i = 1, #ARGV do
  redis.pcall('XACK', KEYS[3], 'replicas', ARGV[i])
  redis.call('XDEL', KEYS[3], ARGV[i])
end
return 1
"""


@dataclass(frozen=True, slots=True)
class PulledShare:
    """A share that this replica shall work on. `id` is of the tenant's stream."""

    tenant: str
    id: str
    data: bytes = field(repr=False)


class WorkQueue:
    """Raises WalUnavailable, WalFull. Queries are named by their asker: `new_query`."""

    def __init__(self, redis: Redis, names: Names, holder: str) -> None:
        self._redis = redis
        self._names = names
        self._workers, self._turns = names.work("workers"), names.work("turns")
        # Two processes may have one holder's name.
        self._worker = f"{holder}:{secrets.token_hex(8)}"
        self.others = 0
        """How many other replicas work for this one, as far as `show_up` knows."""
        self._show_up = redis.register_script(_SHOW_UP)
        self._add = redis.register_script(_ADD)
        self._pull = redis.register_script(_PULL)
        self._give_back = redis.register_script(_GIVE_BACK)
        self._take = redis.register_script(_TAKE)
        self._hold = redis.register_script(_HOLD)
        self._answer = redis.register_script(_ANSWER)
        self._end = redis.register_script(_END)

    @staticmethod
    def new_query() -> str:
        return secrets.token_hex(12)

    # -- the replica that asks ------------------------------------------------

    async def add(self, query: str, tenant: str, shares: Sequence[bytes]) -> list[str]:
        """The ids of the first shares, as many as found room. The query is wanted from now on."""
        with translated("add shares of a query"):
            keys = [self._query(query), self._turns, self._stream(tenant)]
            ids = await self._add(keys=keys, args=[tenant, _WANTED_MS, _KEPT_MS, _MAX_SHARES, *shares])
        return [text(one) for one in ids]

    async def renew(self, query: str) -> None:
        """Must be called every `renewal_seconds`."""
        with translated("renew a query"):
            await self._redis.set(self._query(query), b"", px=_WANTED_MS)

    @property
    def renewal_seconds(self) -> float:
        return _WANTED_MS / 3000

    async def take(self, tenant: str, ids: Sequence[str], idle_seconds: float) -> str | None:
        """The first of the shares that no worker has, or whose worker was silent for so long: no worker gets it now."""
        with translated("take a share back"):
            taken = await self._take(keys=[self._stream(tenant)], args=[int(idle_seconds * 1000), *ids])
        return text(taken) if taken else None

    async def wait_answer(self, query: str, seconds: float) -> tuple[str, bytes] | None:
        """The id of a share and its answer, as soon as there is one."""
        with translated("wait for an answer"):
            found: Any = await self._redis.blpop([self._answers(query)], timeout=seconds)
        if found is None:
            return None
        share, _, answer = found[1].partition(b" ")
        return share.decode(), answer

    async def end(self, query: str, tenant: str, ids: Sequence[str]) -> None:
        """The query is not wanted any more, and nothing of it stays."""
        with translated("end a query"):
            await self._end(keys=[self._query(query), self._answers(query), self._stream(tenant)], args=list(ids))

    # -- the replica that works -----------------------------------------------

    async def show_up(self) -> None:
        """Makes this replica known as one that works for others. Must be called every `showing_seconds`."""
        found = 0  # nobody is there who could be asked, while Redis is not
        try:
            with translated("show up as a worker"):
                found = int(await self._show_up(keys=[self._workers], args=[self._worker, _SHOWN_MS]))
        finally:
            self.others = found

    async def leave(self) -> None:
        """Others need not wait until this replica is no longer known: their queries would wait for it."""
        with translated("leave the workers"):
            await self._redis.zrem(self._workers, self._worker)

    @property
    def showing_seconds(self) -> float:
        return _SHOWN_MS / 4000

    async def wait_turn(self, seconds: float) -> str | None:
        """A tenant that has shares waiting. It must be pulled from or given back."""
        with translated("wait for shares"):
            found: Any = await self._redis.blpop([self._turns], timeout=seconds)
        return None if found is None else text(found[1])

    async def give_back(self, tenant: str) -> None:
        """Leaves the turn to another replica."""
        with translated("give a turn back"):
            await self._give_back(keys=[self._turns], args=[tenant, _KEPT_MS])

    async def pull(self, tenant: str) -> PulledShare | None:
        with translated("pull a share"):
            found = await self._pull(keys=[self._turns, self._stream(tenant)], args=[tenant, self._worker])
        return None if found is None else PulledShare(tenant, text(found[0]), found[1])

    async def hold(self, query: str, share: PulledShare) -> bool:
        """Shows that this worker is alive. Whether the share is still wanted of it."""
        with translated("hold a share"):
            keys = [self._query(query), self._stream(share.tenant)]
            return bool(await self._hold(keys=keys, args=[self._worker, share.id]))

    async def answer(self, query: str, share: PulledShare, data: bytes) -> bool:
        """Whether the answer is still wanted."""
        with translated("answer a share"):
            keys = [self._query(query), self._stream(share.tenant), self._answers(query)]
            args = (self._worker, share.id, _MAX_ANSWERS, _WANTED_MS, data)
            return bool(await self._answer(keys=keys, args=args))

    def _stream(self, tenant: str) -> str:
        return self._names.work(f"shares:{tenant}")

    def _query(self, query: str) -> str:
        return self._names.work(f"query:{query}")

    def _answers(self, query: str) -> str:
        return self._names.work(f"answers:{query}")
