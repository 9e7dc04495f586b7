"""Who calls: HTTP's basic and bearer schemes, against the users and tokens of the configuration.

Secrets come from files, which are read again every moment, from the environment, or as hashes. What is kept of them is
digests, and comparisons of these take the same time wherever they differ.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.access import ANY_TENANT, AuthSettings, Scope
from log_aggregator.model.secret_hash import PasswordHash, SecretHash, hash_of, parse_secret_hash
from log_aggregator.model.tenants import are_several, tenants_of

logger = logging.getLogger(__name__)

CHALLENGE: Final = 'Basic realm="log-aggregator", charset="UTF-8", Bearer realm="log-aggregator"'
_RELOAD_SECONDS: Final = 2.0
_MAX_SECRET_BYTES: Final = 4096
# Compared with what is sent under a name that nobody has, so that the time of an answer does not tell names.
_NOBODYS: Final = hash_of(b"")


class Unauthenticated(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.UNAUTHENTICATED


class NotAllowed(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.FORBIDDEN


class SecretUnreadable(LogAggregatorError):
    """A file or variable that a secret should come from. Names it, never what it holds."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone whose credentials were right, and what the configuration lets them do."""

    name: str
    tenants: frozenset[str]
    scopes: frozenset[Scope]

    @property
    def implied_tenant(self) -> str:
        """Of a caller who has only one; otherwise ""."""
        (tenant,) = self.tenants if len(self.tenants) == 1 else ("",)
        return "" if tenant == ANY_TENANT else tenant

    def check_scope(self, scope: Scope) -> None:
        """Raises NotAllowed."""
        if scope not in self.scopes:
            raise NotAllowed(f"this needs the scope '{scope}', which '{self.name}' does not have")

    def check_tenant(self, tenant: str) -> None:
        """One or several (`model.tenants`), each of which must be allowed. Raises NotAllowed."""
        if ANY_TENANT in self.tenants:
            return
        for one in tenants_of(tenant) if are_several(tenant) else (tenant,):
            if one not in self.tenants:
                raise NotAllowed(f"'{self.name}' may not act for the tenant '{one}'")


@dataclass(frozen=True, slots=True)
class _Account:
    caller: Caller
    secret: SecretHash | PasswordHash


@dataclass(frozen=True, slots=True)
class _Accounts:
    users: Mapping[str, _Account] = field(default_factory=dict)
    tokens: Sequence[_Account] = ()


class Credentials:
    """All that callers can show. Reading them raises SecretUnreadable."""

    def __init__(self, settings: AuthSettings, environment: Mapping[str, str], clock: Clock) -> None:
        self._settings = settings
        self._environment = environment
        self._clock = clock
        self._accounts = self._read()
        # What was found right by a hash that is dear to compute, and for which hash.
        self._verified: dict[str, tuple[PasswordHash, SecretHash]] = {}
        # Whoever guesses passwords gets one core at most.
        self._verifying = asyncio.Semaphore(1)

    async def caller(self, authorization: str) -> Caller:
        """Of a request with this Authorization header. Raises Unauthenticated."""
        scheme, _, given = authorization.partition(" ")
        match scheme.lower():
            case "basic":
                caller = await self._user(given.strip())
            case "bearer":
                caller = self._bearer(given.strip())
            case "":
                raise Unauthenticated("no credentials: send an Authorization header, basic or bearer")
            case _:
                raise Unauthenticated("the Authorization header must be of the scheme basic or bearer")
        if caller is None:
            raise Unauthenticated("the credentials are not valid")
        return caller

    async def run(self) -> None:
        """Reads the files again and again; what cannot be read changes nothing. Runs until cancelled."""
        reported = ""
        while True:
            await self._clock.sleep(_RELOAD_SECONDS)
            try:
                accounts = await asyncio.to_thread(self._read)
            except SecretUnreadable as error:
                if str(error) != reported:
                    logger.error("cannot read credentials again, the last ones stay", extra={"error": str(error)})
                reported = str(error)
                continue
            reported = ""
            if accounts != self._accounts:
                logger.info("credentials have changed")
                self._accounts = accounts

    async def _user(self, encoded: str) -> Caller | None:
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        account = self._accounts.users.get(name)
        secret = _NOBODYS if account is None else account.secret
        right = await self._is_right(name, secret, password.encode())
        return account.caller if account is not None and right else None

    async def _is_right(self, name: str, secret: SecretHash | PasswordHash, given: bytes) -> bool:
        if len(given) > _MAX_SECRET_BYTES:
            return False
        if isinstance(secret, SecretHash):
            return secret.matches(given)
        verified = self._verified.get(name)
        if verified is not None and verified[0] == secret and verified[1].matches(given):
            return True
        async with self._verifying:
            right = await asyncio.to_thread(secret.matches, given)
        if right:
            self._verified[name] = (secret, hash_of(given))
        return right

    def _bearer(self, token: str) -> Caller | None:
        """All tokens are compared, whichever is right."""
        given = token.encode(errors="replace")[:_MAX_SECRET_BYTES]
        right = [account.caller for account in self._accounts.tokens if account.secret.matches(given)]
        return right[0] if right else None

    def _read(self) -> _Accounts:
        users = {
            user.name: _Account(
                Caller(user.name, frozenset(user.tenants), frozenset(user.scopes)),
                self._secret(user.password_file, user.password_env, user.password_hash.get_secret_value()),
            )
            for user in self._settings.users
        }
        tokens = [
            _Account(
                Caller(token.name, frozenset(token.tenants), frozenset(token.scopes)),
                self._secret(token.token_file, token.token_env, token.token_hash.get_secret_value()),
            )
            for token in self._settings.tokens
        ]
        return _Accounts(users, tokens)

    def _secret(self, file: Path | None, variable: str, digest: str) -> SecretHash | PasswordHash:
        if digest:
            return parse_secret_hash(digest)
        source, text = f"the environment variable {variable}", self._environment.get(variable, "")
        if file is not None:
            source, text = str(file), _content(file)
        secret = text.rstrip("\r\n").encode()
        if not 0 < len(secret) <= _MAX_SECRET_BYTES:
            raise SecretUnreadable(f"{source} holds no secret of 1 to {_MAX_SECRET_BYTES} bytes")
        return hash_of(secret)


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnreadable(f"{file} cannot be read: {type(error).__name__}") from error
