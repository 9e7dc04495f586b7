"""Which of several Redis servers is the master: what sentinels say, or the nodes of a cluster.

All our keys share one hash tag, so that in a cluster too a single master has them all. A client therefore is an
ordinary one, whose connections ask here where to go.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from log_aggregator.clock import timeout
from log_aggregator.wal.errors import InvalidRedisUrl

_ASK_SECONDS: Final = 1.0
_SENTINEL_PORT: Final = 26379
_REDIS_PORT: Final = 6379
_SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
_CLUSTER_SCHEMES: Final = ("redis+cluster", "rediss+cluster")
_MOST_LEARNT: Final = 100

Address = tuple[str, int]


class Oracle(Protocol):
    """Raises RedisError, OSError, TimeoutError where the server asked does not answer, or knows no master."""

    async def ask(self, server: Address) -> tuple[Address, Sequence[Address]]:
        """The master as one server knows it, and other servers that may be asked too."""
        ...


@dataclass(frozen=True, slots=True)
class Sentinels:
    """`options` are those of a client of a sentinel."""

    master: str
    options: dict[str, Any] = field(repr=False)

    async def ask(self, server: Address) -> tuple[Address, Sequence[Address]]:
        answer = await _command(server, self.options, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.master)
        if not answer:
            raise exceptions.ConnectionError("the sentinel knows no master of this name")
        host, port = answer
        return (host.decode(), int(port)), ()


@dataclass(frozen=True, slots=True)
class Cluster:
    slot: int
    options: dict[str, Any] = field(repr=False)

    async def ask(self, server: Address) -> tuple[Address, Sequence[Address]]:
        ranges = await _command(server, self.options, "CLUSTER", "SLOTS")
        nodes = [(node[0].decode() or server[0], int(node[1])) for _, _, *some in ranges for node in some]
        for first, last, (host, port, *_), *_ in ranges:
            if first <= self.slot <= last:
                return (host.decode() or server[0], int(port)), nodes
        raise exceptions.ConnectionError("no node of the cluster serves our keys")


class Topology:
    """The master as last heard of, until somebody doubts it."""

    def __init__(self, servers: Sequence[Address], oracle: Oracle) -> None:
        self._servers = list(servers)
        self._oracle = oracle
        self._master: Address | None = None
        self._asking = asyncio.Lock()

    async def master(self) -> Address:
        """Raises redis' ConnectionError when nobody knows one."""
        async with self._asking:
            if self._master is None:
                self._master = await self._ask()
            return self._master

    def doubt(self, address: Address) -> None:
        """Somebody found no master there. Who said so is asked last from now on."""
        if self._master == address:
            self._master = None
            self._servers.append(self._servers.pop(0))

    async def _ask(self) -> Address:
        """The first answer counts; who gave it is asked first the next time."""
        failure: Exception | None = None
        for server in list(self._servers):
            try:
                async with timeout(_ASK_SECONDS):
                    master, others = await self._oracle.ask(server)
            except (exceptions.RedisError, OSError, TimeoutError) as error:
                failure = error
                continue
            known = [one for one in self._servers if one != server]
            learnt = [one for one in dict.fromkeys(others) if one != server and one not in known]
            self._servers = [server, *known, *learnt][:_MOST_LEARNT]
            return master
        raise exceptions.ConnectionError("nobody knows where the master of Redis is") from failure


def topology_of(url: str, prefix: str) -> tuple[Topology, dict[str, Any]] | None:
    """For a URL with several servers, and the options of connections to the master; None for other URLs.

    `redis+sentinel://[user:password@]host[:port],.../master[/db][?option=value&...]`, where the options
    `sentinel_username` and `sentinel_password` are for the sentinels; `redis+cluster://[user:password@]host[:port],...`;
    with `rediss+` both speak TLS. `prefix` is that of our keys. Raises ValueError, InvalidRedisUrl.
    """
    parts = urlsplit(url)
    if parts.scheme not in (*_SENTINEL_SCHEMES, *_CLUSTER_SCHEMES):
        return None
    login, _, hosts = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query))
    sentinel_login = {
        name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query
    }
    plain = f"{parts.scheme.partition('+')[0]}://{f'{login}@' if login else ''}master?{urlencode(query)}"
    options: dict[str, Any] = dict(parse_url(plain))
    del options["host"]
    if parts.scheme in _CLUSTER_SCHEMES:
        slot = key_slot(b"{" + prefix.encode() + b"}")
        return Topology(_addresses(hosts, _REDIS_PORT), Cluster(slot, _asking_options(options))), options
    master, _, db = unquote(parts.path.lstrip("/")).partition("/")
    if not master or (db and not db.isdecimal()):
        raise InvalidRedisUrl("redis.url: name the sentinels' master behind a slash")
    options["db"] = int(db or options.get("db", 0))
    to_sentinels = {name: value for name, value in options.items() if name not in ("username", "password", "db")}
    oracle = Sentinels(master, _asking_options(to_sentinels | sentinel_login))
    return Topology(_addresses(hosts, _SENTINEL_PORT), oracle), options


def _addresses(hosts: str, default_port: int) -> list[Address]:
    addresses: list[Address] = []
    for host in hosts.split(","):
        parts = urlsplit(f"//{host}")
        if not parts.hostname:
            raise InvalidRedisUrl("redis.url: a host is missing")
        addresses.append((parts.hostname, parts.port or default_port))
    return addresses


def _asking_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those of a connection, as a client takes them."""
    client = {name: value for name, value in options.items() if name not in ("connection_class", "db")}
    return client | {"ssl": options.get("connection_class") is SSLConnection}


async def _command(server: Address, options: dict[str, Any], *words: str) -> Any:
    host, port = server
    client = Redis(host=host, port=port, single_connection_client=True, retry=Retry(NoBackoff(), 0), **options)
    try:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()
