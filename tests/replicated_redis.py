"""Several real Redis servers that replicate, with those who say which of them is the master: sentinels, a cluster."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from servers import RedisServer, Server, free_port
from waiting import wait_for

_HOST = "127.0.0.1"
DOWN_AFTER_MS = 500
MASTER = "main"
NODE_TIMEOUT_MS = 1000


class RedisNode(RedisServer):
    """Which waits for no other replica before it sends a new one its data: else a test kills a master too early."""

    def __init__(self, master: RedisServer | None = None, *, cluster: bool = False, **options: str) -> None:
        super().__init__(appendfsync="everysec", port=_port_with_bus() if cluster else None)
        self._options |= {"repl-diskless-sync-delay": "0", "repl-timeout": "5", **options}
        self._master = master
        if cluster:
            self._options |= {"cluster-enabled": "yes", "cluster-node-timeout": str(NODE_TIMEOUT_MS)}

    def _command(self) -> list[str]:
        following = [] if self._master is None else ["--replicaof", _HOST, str(self._master.port)]
        return [*super()._command(), *following]

    def info(self, section: str) -> str:
        return self.ask("INFO", section)

    def ask(self, *words: str) -> str:
        command = ["redis-cli", "-h", _HOST, "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def offset(self) -> str:
        """How much of the master's writes it has."""
        replication = dict(line.partition(":")[::2] for line in self.info("replication").split())
        return replication.get("slave_repl_offset") or replication["master_repl_offset"]

    def is_linked(self) -> bool:
        return "master_link_status:up" in self.info("replication")

    def is_master(self) -> bool:
        """Until it answers that it is not: a sentinel cuts all connections to one that it makes a replica."""
        try:
            return "role:master" in self.info("replication")
        except subprocess.CalledProcessError:
            return True


class SentinelServer(Server):
    def __init__(self, master: RedisServer, quorum: int) -> None:
        super().__init__()
        self.port = free_port()
        self._master = master
        self._quorum = quorum

    @property
    def url(self) -> str:
        return f"redis://{_HOST}:{self.port}"

    def _command(self) -> list[str]:
        config = self.directory / "sentinel.conf"
        if not config.exists():
            config.write_text(
                f"bind {_HOST}\nport {self.port}\n"
                f"sentinel monitor {MASTER} {_HOST} {self._master.port} {self._quorum}\n"
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {MASTER} 4000\n"
            )
        return ["redis-server", str(config), "--sentinel"]

    def _is_ready(self) -> bool:
        return "flags=master" in self._about_master()

    def knows(self, *, sentinels: int, replicas: int) -> bool:
        about = self._about_master()
        return f"num-other-sentinels={sentinels - 1}" in about and f"num-slaves={replicas}" in about

    def _about_master(self) -> str:
        with socket.create_connection((_HOST, self.port), timeout=1) as connection:
            connection.sendall(f"SENTINEL MASTER {MASTER}\r\n".encode())
            words = connection.recv(65536).decode().split("\r\n")
        values = [word for word in words if not word.startswith(("$", "*"))]
        return " ".join(f"{name}={value}" for name, value in zip(values[::2], values[1::2], strict=False))


@dataclass(frozen=True)
class Watched:
    """A master with replicas and three sentinels."""

    nodes: Sequence[RedisNode]
    sentinels: Sequence[SentinelServer]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{_HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"


@contextmanager
def watched(replicas: int = 2) -> Iterator[Watched]:
    """When everybody knows everybody, and the replicas have what the master has."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisNode())
        followers = [stack.enter_context(RedisNode(master)) for _ in range(replicas)]
        wait_for(lambda: all(follower.is_linked() for follower in followers))
        sentinels = [stack.enter_context(SentinelServer(master, 2)) for _ in range(3)]
        wait_for(lambda: all(sentinel.knows(sentinels=3, replicas=replicas) for sentinel in sentinels))
        yield Watched((master, *followers), sentinels)


@dataclass(frozen=True)
class Clustered:
    """Three masters with a replica each."""

    nodes: Sequence[RedisNode]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'{_HOST}:{node.port}' for node in self.nodes[:2])}"

    def master_of(self, slot: int) -> RedisNode:
        """Raises LookupError while there is none that runs."""
        slots = next(node for node in self.nodes if node.is_running).ask("CLUSTER", "NODES").splitlines()
        for _, address, flags, *_, ranges in (line.split(maxsplit=8) for line in slots if line.count(" ") >= 8):
            node = next(node for node in self.nodes if address.startswith(f"{_HOST}:{node.port}@"))
            spans = [span.partition("-") for span in ranges.split() if not span.startswith("[")]
            holds = any(int(first) <= slot <= int(last or first) for first, _, last in spans)
            if holds and "master" in flags and node.is_running:
                return node
        raise LookupError(slot)


@contextmanager
def clustered() -> Iterator[Clustered]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(RedisNode(cluster=True)) for _ in range(6)]
        addresses = [f"{_HOST}:{node.port}" for node in nodes]
        create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=60)
        wait_for(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in nodes))
        wait_for(lambda: sum(node.is_linked() for node in nodes) == 3)
        yield Clustered(nodes)


def _port_with_bus() -> int:
    """A port P for which P + 10000, the cluster's bus, is a port too, and free."""
    while True:
        port = free_port()
        candidate = port - 10_000 if port > 55_000 else port
        try:
            for one in (candidate, candidate + 10_000):
                with socket.socket() as listener:
                    listener.bind((_HOST, one))
        except OSError:
            continue
        return candidate
