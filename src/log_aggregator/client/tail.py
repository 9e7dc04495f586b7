"""`tail`: lines as they arrive, until Ctrl-C."""

import ssl
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from log_aggregator.client.entries import CATEGORIZED, Entry, StreamAnswer, printer
from log_aggregator.client.errors import ClientError, Refused
from log_aggregator.client.moments import range_of
from log_aggregator.client.server import Server

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0
_POLICY_CODES: Final = frozenset({1008, 1011})  # the server ended it on purpose, and says why
_MAX_FRAME_BYTES: Final = 64 << 20


class Dropped(msgspec.Struct, frozen=True):
    timestamp: str
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Frame(msgspec.Struct, frozen=True):
    streams: list[StreamAnswer] | None = None
    dropped: list[Dropped] | None = msgspec.field(name="dropped_entries", default=None)


def tail(options: Namespace) -> int:
    show = printer(options.output, options.color, sys.stdout)
    for entry in _arriving(Server.of_options(options), options):
        show(entry)
    return 0


def _arriving(server: Server, options: Namespace) -> Iterator[Entry]:
    """Connects again after an interruption, from the last entry seen."""
    start_ns, _ = range_of(options, time.time_ns())
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            with connect(
                _url(server, options, start_ns),
                additional_headers={**server.headers, **CATEGORIZED},
                ssl=server.tls,
                proxy=None if server.is_here else True,
                max_size=_MAX_FRAME_BYTES,
            ) as socket:
                print(f"connected to {server.url}", file=sys.stderr)
                for message in socket:
                    frame = _frame(message)
                    entries = [entry for stream in frame.streams or () for entry in stream.entries()]
                    for entry in sorted(entries, key=lambda entry: entry.timestamp_ns):
                        yield entry
                        start_ns = max(start_ns, entry.timestamp_ns + 1)
                    if frame.dropped:
                        print(f"{len(frame.dropped)} entries were dropped: reading too slowly", file=sys.stderr)
                    pause = _FIRST_PAUSE_SECONDS
        except InvalidStatus as error:
            status, body = error.response.status_code, error.response.body
            if status < 500:
                raise Refused(status, body.decode(errors="replace")) from error
            reason = f"the server answered {status}"
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.code in _POLICY_CODES:
                raise ClientError(f"the server ended the tail: {error.rcvd.reason}") from error
            reason = "the connection was lost"
        except (OSError, InvalidHandshake, ssl.SSLError) as error:
            reason = f"no answer from {server.url}: {error}"
        else:
            reason = "the server ended the tail"
        print(f"{reason}; connecting again in {pause:g} s", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _url(server: Server, options: Namespace, start_ns: int) -> str:
    parameters = {"query": options.query, "start": start_ns, "limit": options.limit, "delay_for": options.delay_for}
    return f"ws{server.url.removeprefix('http')}/loki/api/v1/tail?{urlencode(parameters)}"


def _frame(message: str | bytes) -> Frame:
    try:
        return msgspec.json.decode(message, type=Frame)
    except msgspec.MsgspecError as error:
        raise ClientError(f"the server sent a frame that is none of Loki's: {error}") from error
