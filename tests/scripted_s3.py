"""An S3 server that answers what a test tells it to: refusals, failures, half answers, silence."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from loop_server import LoopServer


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`missing_bytes` are announced, and then the connection ends without them."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    missing_bytes: int = 0


def refusal(status: int, code: str, message: str = "because") -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


class ScriptedS3(LoopServer):
    """`answer` decides on each request; None is silence for as long as the client waits."""

    def __init__(self, answer: Callable[[Request], Answer | None]) -> None:
        super().__init__()
        self._answer = answer
        self.requests: list[Request] = []
        self.asked = asyncio.Condition()

    async def wait_for_request(self, wanted: Callable[[Request], bool]) -> None:
        async with self.asked:
            await self.asked.wait_for(lambda: any(map(wanted, self.requests)))

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request. Whether another may follow on the connection."""
        request = _parse((await reader.readuntil(b"\r\n\r\n")).decode())
        if request.headers.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(int(request.headers.get("content-length", "0")))
        async with self.asked:
            self.requests.append(request)
            self.asked.notify_all()
        answer = self._answer(request)
        if answer is None:
            await reader.read(1)  # ends when the client gives up
            return False
        length = len(answer.body) + answer.missing_bytes
        lines = [f"HTTP/1.1 {answer.status} Scripted", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        writer.write("\r\n".join([*lines, "\r\n"]).encode())
        if request.method != "HEAD":
            writer.write(answer.body)
        await writer.drain()
        return answer.missing_bytes == 0


def _parse(head: str) -> Request:
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = (line.partition(":") for line in lines)
    return Request(method, target, {name.lower(): value.strip() for name, _, value in headers})
