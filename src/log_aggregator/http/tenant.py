"""Whose request it is: the X-Scope-OrgID header. Rules and words are Loki's (dskit's tenant package)."""

import re
from collections.abc import Mapping
from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.tenants import SEPARATOR, tenants_of

HEADER = "x-scope-orgid"
_BLANKS = " \t"  # which are no part of a header's value, before it and behind it
_MAX_BYTES = 150
_UNSUPPORTED = re.compile(r"[^0-9A-Za-z!_.*'()-]")


class NoTenant(LogAggregatorError):
    """Authentication is on and the header is missing."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAUTHENTICATED

    def __init__(self) -> None:
        super().__init__("no org id")


class InvalidTenant(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID


def tenant_of(
    headers: Mapping[str, str],
    auth_enabled: bool,
    no_auth_tenant: str,
    *,
    several: bool = False,
    implied: str = "",
) -> str:
    """The tenant of a request. Without authentication the header does not count; without the header, `implied` does.

    With `several`, it may name several, whose answer is theirs together (`model.tenants`), in any order and repeated.
    Raises NoTenant, InvalidTenant.
    """
    if not auth_enabled:
        return no_auth_tenant
    name = headers.get(HEADER, "").strip(_BLANKS) or implied
    if not name:
        raise NoTenant
    names = set(tenants_of(name))
    if len(names) == 1 and "" not in names:
        return checked(names.pop())
    if not several:
        raise InvalidTenant("multiple org IDs present")
    return SEPARATOR.join(sorted(map(_named, names)))


def _named(name: str) -> str:
    if not name:
        raise InvalidTenant("an org ID of several is empty")
    return checked(name)


def checked(name: str) -> str:
    """A name that is safe in keys and paths."""
    if len(name.encode(errors="surrogateescape")) > _MAX_BYTES:  # header bytes that are no UTF-8 are surrogates
        raise InvalidTenant(f"tenant ID is too long: max {_MAX_BYTES} characters")
    if name in (".", ".."):
        raise InvalidTenant("tenant ID is '.' or '..'")
    if wrong := _UNSUPPORTED.search(name):
        raise InvalidTenant(f"tenant ID '{name}' contains unsupported character '{wrong[0]}'")
    return name
