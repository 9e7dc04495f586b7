"""Who is let in, and with what in hand."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from clocks import SteppedClock
from log_aggregator.http.access import scope_of
from log_aggregator.http.auth import Caller, Credentials, NotAllowed, SecretUnreadable, Unauthenticated
from log_aggregator.model.access import AuthSettings, Scope
from log_aggregator.model.secret_hash import parse_secret_hash, password_hash_text

TOKEN_HASH = f"sha256:{hashlib.sha256(b'token').hexdigest()}"
PASSWORD_HASH = password_hash_text(b"slow")
SETTINGS = {
    "users": [
        {"name": "env", "password_env": "PASSWORD", "tenants": ["one"]},
        {"name": "slow", "password_hash": PASSWORD_HASH, "tenants": ["one", "two"], "scopes": ["admin"]},
    ],
    "tokens": [{"name": "agent", "token_hash": TOKEN_HASH, "tenants": ["*"], "scopes": ["write"]}],
}


def credentials(settings: object, environment: Mapping[str, str] | None = None) -> Credentials:
    return Credentials(AuthSettings.model_validate(settings), environment or {"PASSWORD": "p:ä"}, SteppedClock())


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (basic("env", "p:ä"), "env"),
        (basic("env", "p:ä").replace("Basic", "bAsIc"), "env"),
        (basic("slow", "slow"), "slow"),
        ("Bearer token", "agent"),
        ("bearer  token ", "agent"),
    ],
)
async def test_right_credentials(authorization: str, name: str) -> None:
    known = credentials(SETTINGS)
    assert (await known.caller(authorization)).name == name
    assert (await known.caller(authorization)).name == name


@pytest.mark.parametrize(
    "authorization",
    [
        basic("env", "wrong"),
        basic("env", ""),
        basic("env", "p:ä "),
        basic("ENV", "p:ä"),
        basic("nobody", ""),
        basic("nobody", "p:ä"),
        basic("slow", "sloW"),
        basic("slow", PASSWORD_HASH),
        basic("slow", "x" * 100_000),
        basic("agent", "token"),
        "Bearer",
        "Bearer ",
        "Bearer toke",
        f"Bearer {TOKEN_HASH}",
        f"Bearer {'t' * 100_000}",
        "Bearer p:ä",
        "Basic",
        "Basic !!!",
        "Basic /w==",
        f"Basic {base64.b64encode(b'env').decode()}",
        "Digest username=env",
        "",
        "\ud800",
        "Bearer \udcff",
    ],
)
async def test_wrong_credentials(authorization: str) -> None:
    known = credentials(SETTINGS)
    with pytest.raises(Unauthenticated):
        await known.caller(authorization)


async def test_a_password_that_was_right_once_does_not_open_for_another() -> None:
    known = credentials(SETTINGS)
    await known.caller(basic("slow", "slow"))
    with pytest.raises(Unauthenticated):
        await known.caller(basic("slow", "slow2"))


async def test_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", SteppedClock()
    file.write_text("first\n")
    settings = AuthSettings.model_validate({"tokens": [{"name": "a", "token_file": str(file)}]})
    known = Credentials(settings, {}, clock)
    running = asyncio.create_task(known.run())
    assert (await known.caller("Bearer first")).name == "a"

    file.write_text("second")
    await clock.pass_period()
    assert (await known.caller("Bearer second")).name == "a"
    with pytest.raises(Unauthenticated):
        await known.caller("Bearer first")

    for damage in (lambda: file.write_text(""), file.unlink):
        damage()
        await clock.pass_period()
        assert (await known.caller("Bearer second")).name == "a"
    running.cancel()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"token_env": "NOT_SET"}, "the environment variable NOT_SET holds no secret of 1 to 4096 bytes"),
        ({"token_file": "/no/such/file"}, "/no/such/file cannot be read: FileNotFoundError"),
    ],
)
def test_secrets_that_are_missing(source: dict[str, str], message: str) -> None:
    with pytest.raises(SecretUnreadable) as raised:
        credentials({"tokens": [{"name": "a", **source}]})
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "settings",
    [
        {"users": [{"name": "a"}]},
        {"users": [{"name": "a:b", "password_env": "A"}]},
        {"users": [{"name": "", "password_env": "A"}]},
        {"users": [{"name": "a", "password_env": "A", "password_file": "b"}]},
        {"users": [{"name": "a", "password": "secret"}]},
        {"users": [{"name": "a", "password_hash": "secret"}]},
        {"users": [{"name": "a", "password_env": "A"}, {"name": "a", "password_env": "B"}]},
        {"users": [{"name": "a", "password_env": "A", "scopes": ["root"]}]},
        {"tokens": [{"name": "a", "token_hash": PASSWORD_HASH}]},
        {"open": ["config"]},
    ],
)
def test_settings_that_are_refused_without_a_word_of_the_secret(settings: object) -> None:
    with pytest.raises(ValidationError) as raised:
        AuthSettings.model_validate(settings)
    assert "secret" not in str(raised.value).replace("secret_hash", "")
    assert PASSWORD_HASH not in str(raised.value)


@pytest.mark.parametrize(
    ("tenants", "asked", "allowed"),
    [
        (["one"], "one", True),
        (["one"], "two", False),
        (["one"], "one|two", False),
        (["one", "two"], "one|two", True),
        (["*"], "one|two", True),
        ([], "one", False),
        (["one|two"], "one", False),
        (["one"], "", False),
        (["one"], "ONE", False),
    ],
)
def test_tenants_of_a_caller(tenants: list[str], asked: str, allowed: bool) -> None:
    caller = Caller("a", frozenset(tenants), frozenset())
    if allowed:
        caller.check_tenant(asked)
    else:
        with pytest.raises(NotAllowed):
            caller.check_tenant(asked)


@pytest.mark.parametrize(("tenants", "implied"), [(["one"], "one"), (["one", "two"], ""), (["*"], ""), ([], "")])
def test_implied_tenant(tenants: list[str], implied: str) -> None:
    assert Caller("a", frozenset(tenants), frozenset()).implied_tenant == implied


def test_routes_that_the_table_does_not_name_are_closed() -> None:
    assert scope_of("new", tenant=False) is Scope.ADMIN
    assert scope_of("new", tenant=True) is Scope.READ


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "sha256:" + "0" * 63, "md5:" + "0" * 32, "scrypt:3:8:1:" + "0" * 16 + ":" + "0" * 64]
    + [f"scrypt:{n}:{r}:{p}:{'0' * 16}:{'0' * 64}" for n, r, p in ((0, 8, 1), (1 << 20, 8, 1), (2, 0, 1), (2, 8, 0))],
)
def test_hashes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_secret_hash(text)
