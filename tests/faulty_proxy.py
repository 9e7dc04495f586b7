"""A proxy before an S3 server that fails, lies and dawdles by a seed."""

import asyncio
from dataclasses import dataclass
from random import Random

from loop_server import LoopServer
from servers import S3Server

_HEAD_END = b"\r\n\r\n"
_SLOW_DOWN = b"<Error><Code>SlowDown</Code></Error>"
_INTERNAL = b"<Error><Code>InternalError</Code></Error>"


@dataclass(frozen=True, slots=True)
class ProxyFaults:
    """Probabilities of what befalls a request; a delay of so many seconds at most befalls each."""

    refused: float = 0.02  # 503, and nothing has happened
    dropped: float = 0.02  # the connection ends, and nothing has happened
    failed: float = 0.02  # 500, although it was done
    unanswered: float = 0.02  # the connection ends, although it was done
    cut: float = 0.02  # the answer ends in the middle
    delay_seconds: float = 0.05


class FaultyProxy(LoopServer):
    """Serves on the loop of the test. While `is_down`, all requests are refused."""

    def __init__(self, s3: S3Server, faults: ProxyFaults, seed: int) -> None:
        super().__init__()
        self.is_down = False
        self.requests = 0
        self.faults_met = 0
        self._s3 = s3
        self._faults = faults
        self._random = Random(seed)

    def settings(self, bucket: str) -> dict[str, object]:
        """As `S3Server.settings`."""
        return {**self._s3.settings(bucket), "endpoint": self.url}

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """The connection ends with the first."""
        head = await reader.readuntil(_HEAD_END)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        if b"expect" in fields:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        self.requests += 1
        await asyncio.sleep(self._random.uniform(0, self._faults.delay_seconds))
        if self.is_down or self._meets(self._faults.refused):
            writer.write(_answer(b"503 Slow Down", _SLOW_DOWN))
        elif not self._meets(self._faults.dropped):
            answer = await self._forwarded(head, body)
            if self._meets(self._faults.failed):
                writer.write(_answer(b"500 Internal Server Error", _INTERNAL))
            elif self._meets(self._faults.cut):
                writer.write(answer[: len(answer) * 2 // 3])
            elif not self._meets(self._faults.unanswered):
                writer.write(answer)
        await writer.drain()
        return False

    async def _forwarded(self, head: bytes, body: bytes) -> bytes:
        """The whole answer of the server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._s3.port)
        kept = [line for line in head.removesuffix(_HEAD_END).split(b"\r\n") if not _is_of_this_hop(line)]
        writer.write(b"\r\n".join([*kept, b"Connection: close"]) + _HEAD_END + body)
        try:
            return await reader.read()
        finally:
            writer.close()

    def _meets(self, probability: float) -> bool:
        met = self._random.random() < probability
        self.faults_met += met
        return met


def _is_of_this_hop(line: bytes) -> bool:
    return line.lower().startswith((b"connection:", b"expect:"))


def _answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)
