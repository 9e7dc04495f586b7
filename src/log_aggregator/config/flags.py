"""The command line in the form of Go's flag package: `-name=value`, `-name value`, `-switch`, with one dash or two."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from log_aggregator.config.document import Place
from log_aggregator.config.environment import node_of
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.keys import IGNORED, RENAMED
from log_aggregator.config.load import Given
from log_aggregator.config.schema import Path, leaf_fields
from log_aggregator.config.sections import Config

_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})

# Flags about the configuration itself; the value says whether each is a switch.
_OPTIONS: Final = {
    "config.file": False,
    "config.expand-env": True,
    "config.strict": True,
    "verify-config": True,
    "print-config-stderr": True,
    "version": True,
    "help": True,
    "h": True,
}
# Loki's flags whose names do not follow from their keys.
_LOKIS: Final[Mapping[str, Path]] = {
    "auth.enabled": ("auth_enabled",),
    "auth.no-auth-tenant": ("no_auth_tenant",),
    "log.level": ("server", "log_level"),
    "store.retention": ("limits_config", "retention_period"),
    "runtime-config.reload-period": ("runtime_config", "period"),
}


@dataclass(frozen=True, slots=True)
class Flags:
    config_files: tuple[str, ...]  # the first that exists is read; empty: look in the usual places
    expand_env: bool
    strict: bool
    verify_config: bool
    print_config: bool
    version: bool
    help: bool
    given: tuple[Given, ...]  # values of keys


def keys_by_flag() -> dict[str, Path]:
    """Every key's flag is its dotted path, with dashes; some have Loki's own name as well."""
    renamed = [tuple(old.split(".")) for old in RENAMED]
    paths = [*leaf_fields(Config), *renamed]
    return {".".join(path).replace("_", "-"): path for path in paths} | dict(_LOKIS)


def parse_flags(arguments: Sequence[str]) -> Flags:
    """Raises ConfigError."""
    keys = keys_by_flag()
    switches = {name for name, is_switch in _OPTIONS.items() if is_switch}
    switches |= {name for name, path in keys.items() if _is_switch(path)}
    options: dict[str, str] = {}
    given: list[Given] = []
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("-") or flag in ("-", "--"):
            raise ConfigError(f"unexpected argument {flag}")
        name, has_value, value = flag.removeprefix("-").removeprefix("-").partition("=")
        if not _is_known(name, keys):
            hint = difflib.get_close_matches(name, (*_OPTIONS, *keys), n=1)
            raise ConfigError(f"unknown flag -{name}{f'; did you mean -{hint[0]}?' if hint else ''}")
        if not has_value and name in switches:
            value = "true"
        elif not has_value:
            if not rest:
                raise ConfigError(f"flag needs a value: -{name}")
            value = rest.pop(0)
        if name in _OPTIONS:
            options[name] = value
        elif name in keys:
            place = Place(f"flag -{name}")
            given.append(Given(keys[name], node_of(keys[name], value, place), place))
    return Flags(
        config_files=tuple(filter(None, options.get("config.file", "").split(","))),
        expand_env=_switch(options, "config.expand-env", default=True),
        strict=_switch(options, "config.strict", default=True),
        verify_config=_switch(options, "verify-config", default=False),
        print_config=_switch(options, "print-config-stderr", default=False),
        version=_switch(options, "version", default=False),
        help=_switch(options, "help", default=False) or _switch(options, "h", default=False),
        given=tuple(given),
    )


def _is_known(name: str, keys: Mapping[str, Path]) -> bool:
    """Flags of what is ignored in a file are ignored too."""
    dotted = name.replace("-", "_")
    ignored = any(dotted == key or dotted.startswith(f"{key}.") for key in IGNORED)
    return name in _OPTIONS or name in keys or ignored


def _is_switch(path: Path) -> bool:
    field = leaf_fields(Config).get(path)
    return field is not None and field.annotation is bool


def _switch(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = options.get(name, str(default)).lower()
    if value not in _TRUE | _FALSE:
        raise ConfigError(f"flag -{name}: {value!r} is not true or false")
    return value in _TRUE
