"""TLS on every side: clients of ours, the Redis and the object store that we are clients of."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
import yaml

from certificates import Authority, Pair
from log_aggregator.wal.connection import connect
from log_aggregator.wal.errors import WalUnavailable
from log_aggregator.wal.log import WriteAheadLogs
from log_aggregator.wal.names import Names
from servers import LogAggregator, MotoServer, RedisServer
from waiting import wait_for


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


class TlsLogAggregator(LogAggregator):
    """Whose readiness is asked for over TLS. `context` is that of a client that it must let in."""

    def __init__(self, context: ssl.SSLContext, *flags: str) -> None:
        super().__init__(*flags)
        self._context = context

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", verify=self._context, timeout=2).status_code == 200
        except httpx.TransportError as error:
            raise OSError from error


def trusting(authority: Authority, client: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


@pytest.fixture(scope="module")
def server(authority: Authority, stranger: Authority, pair: Pair) -> Iterator[TlsLogAggregator]:
    """Which wants certificates of the stranger's from its clients."""
    flags = [
        f"-server.http-tls-config.cert-file={pair.certificate}",
        f"-server.http-tls-config.key-file={pair.key}",
        f"-server.http-tls-config.client-ca-file={stranger.file}",
        "-server.http-tls-config.client-auth-type=RequireAndVerifyClientCert",
        "-server.tls-min-version=VersionTLS13",
    ]
    with TlsLogAggregator(trusting(authority, stranger.issue("client")), *flags) as server:
        yield server


def served_certificate(server: TlsLogAggregator, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        certificate = secure.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def test_client_with_a_certificate_is_served(
    server: TlsLogAggregator, authority: Authority, stranger: Authority
) -> None:
    context = trusting(authority, stranger.issue("client"))
    with httpx.Client(base_url=server.url, verify=context, timeout=10) as client:
        assert client.get("/loki/api/v1/labels").json()["status"] == "success"


@pytest.mark.parametrize("issuer", ["nobody", "authority"])
def test_client_without_the_right_certificate_is_not(
    server: TlsLogAggregator, authority: Authority, issuer: str
) -> None:
    context = trusting(authority, authority.issue("client") if issuer == "authority" else None)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/ready", verify=context, timeout=10)


def test_health_command_asks_over_tls(authority: Authority) -> None:
    pair = authority.issue("health")
    flags = [f"-server.http-tls-config.cert-file={pair.certificate}", f"-server.http-tls-config.key-file={pair.key}"]
    with TlsLogAggregator(trusting(authority), *flags) as server:
        command = [sys.executable, "-m", "log_aggregator", "health", f"-server.http-listen-port={server.port}"]
        assert subprocess.run([*command, *flags], check=True, capture_output=True).stdout == b"ready\n"


def test_old_versions_and_plain_http_are_not_spoken(
    server: TlsLogAggregator, authority: Authority, stranger: Authority
) -> None:
    context = trusting(authority, stranger.issue("client"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        served_certificate(server, context)
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url.replace("https", "http"), timeout=10)


def test_renewed_certificate_is_taken_in_and_a_damaged_one_is_not(
    server: TlsLogAggregator, authority: Authority, stranger: Authority, pair: Pair
) -> None:
    context = trusting(authority, stranger.issue("client"))
    first = served_certificate(server, context)
    authority.issue("server")
    wait_for(lambda: served_certificate(server, context) != first)
    second = served_certificate(server, context)
    pair.key.write_text("damaged")
    wait_for(lambda: "cannot take in a renewed certificate" in (server.directory / "server.log").read_text())
    assert served_certificate(server, context) == second


class TlsRedis(RedisServer):
    def __init__(self, authority: Authority, pair: Pair) -> None:
        super().__init__()
        self._tls_port, self.port = self.port, self.port
        self._options |= {
            "tls-port": str(self.port),
            "tls-cert-file": str(pair.certificate),
            "tls-key-file": str(pair.key),
            "tls-ca-cert-file": str(authority.file),
            "tls-auth-clients": "no",
        }
        self._context = trusting(authority)

    def _command(self) -> list[str]:
        command = super()._command()
        command[command.index("--port") + 1] = "0"
        return command

    def _is_ready(self) -> bool:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as plain,
            self._context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"PING\r\n")
            return secure.recv(64).startswith(b"+PONG")


async def test_redis_over_tls(authority: Authority, stranger: Authority) -> None:
    with TlsRedis(authority, authority.issue("redis")) as server:
        for file, is_trusted in ((authority.file, True), (stranger.file, False)):
            redis = connect(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={quote(str(file))}")
            try:
                logs = WriteAheadLogs(redis, Names("p"))
                if is_trusted:
                    assert await logs.append(await logs.open("a"), None, [b"record"])
                else:
                    with pytest.raises(WalUnavailable):
                        await logs.open("a")
            finally:
                await redis.aclose()


class TlsMoto(MotoServer):
    def __init__(self, authority: Authority, pair: Pair) -> None:
        super().__init__()
        self._pair, self.context = pair, trusting(authority)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [*super()._command(), "-s", "-c", str(self._pair.certificate), "-k", str(self._pair.key)]

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/moto-api/data.json", verify=self.context).status_code == 200
        except httpx.TransportError as error:
            raise OSError from error


def test_object_store_over_tls(authority: Authority) -> None:
    with TlsMoto(authority, authority.issue("s3")) as s3:
        httpx.put(f"{s3.url}/bucket", verify=s3.context).raise_for_status()
        aws = {
            "endpoint": s3.url,
            "bucketnames": "bucket",
            "region": "us-east-1",
            "access_key_id": "a",
            "secret_access_key": "s",
            "s3forcepathstyle": True,
            "http_config": {"ca_file": str(authority.file)},
        }
        with LogAggregator(config=yaml.safe_dump({"storage_config": {"aws": aws}})) as server:
            body = {"streams": [{"stream": {"app": "a"}, "values": [[str(time.time_ns()), "line"]]}]}
            httpx.post(f"{server.url}/loki/api/v1/push", json=body, timeout=10).raise_for_status()
            assert httpx.post(f"{server.url}/flush", timeout=20).status_code == 204
