"""One server that speaks Loki's API, over HTTP."""

import base64
import ssl
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import msgspec

from log_aggregator.client.errors import ClientError, Refused, Unreachable

_TIMEOUT_SECONDS: Final = 120.0
_MAX_MESSAGE_BYTES: Final = 10_000
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
Answer = TypeVar("Answer")
Parameters = Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class Server:
    """Methods raise Refused, Unreachable, and ClientError for answers that are not Loki's."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None

    @staticmethod
    def of_options(options: Namespace) -> "Server":
        headers = {}
        if options.org_id:
            headers["X-Scope-OrgID"] = options.org_id
        if options.bearer_token:
            headers["Authorization"] = f"Bearer {options.bearer_token}"
        elif options.username:
            login = base64.b64encode(f"{options.username}:{options.password}".encode()).decode()
            headers["Authorization"] = f"Basic {login}"
        url: str = options.addr.rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise ClientError(f"--addr must begin with http:// or https://: {options.addr}")
        tls = None
        if url.startswith("https://"):
            tls = ssl.create_default_context(cafile=options.ca_cert or None)
        return Server(url, headers, tls)

    @property
    def is_here(self) -> bool:
        """Then the environment's proxy is passed by, as Go's clients do: it would look for the server on itself."""
        return urlsplit(self.url).hostname in _THIS_MACHINE

    def get(self, path: str, parameters: Parameters, shape: type[Answer]) -> Answer:
        query = urlencode([pair for pair in parameters if pair[1] != ""])
        return self._decoded(self._answer(f"{path}?{query}" if query else path, None, {}), shape)

    def ask(self, path: str, parameters: Parameters, shape: type[Answer], headers: Mapping[str, str]) -> Answer:
        """Sends the parameters as a form: a query may be longer than a URL."""
        form = urlencode([pair for pair in parameters if pair[1] != ""]).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._decoded(self._answer(path, form, {**kind, **headers}), shape)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._answer(path, body, headers)

    def _answer(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        request = Request(self.url + path, body, {**self.headers, **headers})
        opener = build_opener(ProxyHandler({} if self.is_here else None), HTTPSHandler(context=self.tls))
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                data: bytes = response.read()
                return data
        except HTTPError as error:
            with error:
                raise Refused(error.code, error.read(_MAX_MESSAGE_BYTES).decode(errors="replace")) from error
        except (URLError, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise Unreachable(f"no answer from {self.url}: {reason}") from error

    def _decoded(self, data: bytes, shape: type[Answer]) -> Answer:
        try:
            return msgspec.json.decode(data, type=shape)
        except msgspec.MsgspecError as error:
            raise ClientError(f"{self.url} does not answer as Loki does: {error}") from error
