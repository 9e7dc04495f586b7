"""Who may call, and what for: the block `auth` of the configuration, which Loki does not have."""

from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from pydantic import SecretStr, model_validator

from log_aggregator.model.secret_hash import SecretHash, parse_secret_hash
from log_aggregator.model.section import OptionalPath, Section

ANY_TENANT: Final = "*"


class Scope(StrEnum):
    """What a route needs. None includes another."""

    READ = "read"  # queries, tails, exports
    WRITE = "write"  # pushes
    ADMIN = "admin"  # deletes, flush, shutdown, configuration, log level, rings
    METRICS = "metrics"  # /metrics, which names tenants, and /ready


OpenRoute = Literal["ready", "buildinfo", "metrics", "root"]
"""Routes of no tenant that may be left open to everybody."""


class UserSettings(Section):
    """A name with a password, by HTTP's basic scheme. The password has one source; tenant `*` is any."""

    name: str
    password_file: OptionalPath = None
    password_env: str = ""
    password_hash: SecretStr = SecretStr("")
    tenants: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = (Scope.READ,)

    @model_validator(mode="after")
    def _complete(self) -> "UserSettings":
        if not self.name or ":" in self.name:
            raise ValueError("a user's name must not be empty or hold a colon")
        _check_one_source("password", self.password_file, self.password_env, self.password_hash)
        return self


class TokenSettings(Section):
    """A token of the bearer scheme. `name` is what logs call it."""

    name: str
    token_file: OptionalPath = None
    token_env: str = ""
    token_hash: SecretStr = SecretStr("")
    tenants: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = (Scope.READ,)

    @model_validator(mode="after")
    def _complete(self) -> "TokenSettings":
        _check_one_source("token", self.token_file, self.token_env, self.token_hash)
        digest = self.token_hash.get_secret_value()
        if digest and not isinstance(parse_secret_hash(digest), SecretHash):
            raise ValueError("token_hash must be of the form sha256:, since a token is looked up by it")
        return self


class AuthSettings(Section):
    """Without users and tokens, everybody may do everything, as in Loki."""

    users: tuple[UserSettings, ...] = ()
    tokens: tuple[TokenSettings, ...] = ()
    open: tuple[OpenRoute, ...] = ("ready", "buildinfo")

    @model_validator(mode="after")
    def _distinct(self) -> "AuthSettings":
        names = [user.name for user in self.users]
        if len(set(names)) < len(names):
            raise ValueError("users: two have the same name")
        return self

    @property
    def is_configured(self) -> bool:
        return bool(self.users or self.tokens)


def _check_one_source(what: str, file: Path | None, variable: str, digest: SecretStr) -> None:
    text = digest.get_secret_value()
    if sum((file is not None, bool(variable), bool(text))) != 1:
        raise ValueError(f"give one of {what}_file, {what}_env and {what}_hash")
    if text:
        parse_secret_hash(text)
