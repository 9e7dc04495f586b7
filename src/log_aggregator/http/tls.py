"""TLS of the HTTP server: Loki's `server.http_tls_config`, with certificates that may change while the server runs."""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import model_validator

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.section import OptionalPath, Section

logger = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 10.0
_RELOAD_SECONDS: Final = 2.0

ClientAuth = Literal["", "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
"""Go's words. Those of its kinds that ask for a certificate without checking it have no use."""
_VERIFYING: Final[dict[ClientAuth, ssl.VerifyMode]] = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

MinVersion = Literal["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"]


class TlsSettings(Section):
    """Without a certificate the server speaks plain HTTP."""

    cert_file: OptionalPath = None
    key_file: OptionalPath = None
    client_auth_type: ClientAuth = ""
    client_ca_file: OptionalPath = None

    @model_validator(mode="after")
    def _complete(self) -> "TlsSettings":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file must be given together")
        if (self.client_auth_type in _VERIFYING) != (self.client_ca_file is not None):
            raise ValueError("client_ca_file and a client_auth_type that verifies must be given together")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("client certificates need cert_file and key_file")
        return self


class CertificateUnreadable(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID


class ServerTls:
    """The context for new connections; `run` takes in certificates that were renewed. Raises CertificateUnreadable.

    Client authorities are read once: OpenSSL can add to those it trusts, and take nothing away.
    """

    def __init__(self, certificate: Path, key: Path, settings: TlsSettings, min_version: MinVersion, clock: Clock):
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Nothing before 1.2 is spoken, whatever is asked for.
        is_new = min_version == "VersionTLS13"
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3 if is_new else ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._load(self.context)
        if settings.client_ca_file is not None:
            self.context.verify_mode = _VERIFYING[settings.client_auth_type]
            try:
                self.context.load_verify_locations(settings.client_ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise CertificateUnreadable(f"{settings.client_ca_file}: {_reason(error)}") from error
        self._seen = self._stamp()

    async def run(self) -> None:
        """Until cancelled. What cannot be read changes nothing."""
        while True:
            await self._clock.sleep(_RELOAD_SECONDS)
            seen = await asyncio.to_thread(self._stamp)
            if seen == self._seen:
                continue
            self._seen = seen
            try:
                # A pair that does not fit would leave the context in use without a certificate.
                await asyncio.to_thread(self._load, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
                self._load(self.context)
            except CertificateUnreadable as error:
                logger.error("cannot take in a renewed certificate, the last one stays", extra={"error": str(error)})
            else:
                logger.info("took in a renewed certificate")

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (OSError, ValueError) as error:
            raise CertificateUnreadable(f"{self._certificate}, {self._key}: {_reason(error)}") from error

    def _stamp(self) -> tuple[int, ...]:
        """Something that changes with the files; zeros where one is missing."""
        stamps: list[int] = []
        for file in (self._certificate, self._key):
            try:
                status = file.stat()
            except OSError:
                stamps += [0, 0, 0]
            else:
                stamps += [status.st_ino, status.st_mtime_ns, status.st_size]
        return tuple(stamps)


def server_tls(settings: TlsSettings, min_version: MinVersion, clock: Clock) -> ServerTls | None:
    """None for plain HTTP. Raises CertificateUnreadable."""
    if settings.cert_file is None or settings.key_file is None:
        return None
    return ServerTls(settings.cert_file, settings.key_file, settings, min_version, clock)


def _no_password() -> str:
    """Without it, OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else ""
    return strerror or str(error)
