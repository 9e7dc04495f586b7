"""What a process does: `-target`."""

from enum import Flag, auto
from typing import Final


class Role(Flag):
    WRITE = auto()
    READ = auto()
    BACKEND = auto()
    ALL = WRITE | READ | BACKEND

    @staticmethod
    def of_target(target: str) -> "Role":
        """One target or several, comma-separated. Raises ValueError."""
        roles = Role(0)
        for name in target.split(","):
            if name.strip() not in TARGETS:
                raise ValueError(f"unrecognised target '{name.strip()}': use one of {', '.join(TARGETS)}")
            roles |= TARGETS[name.strip()]
        return roles


# Loki's finer targets do here what the nearest role does.
TARGETS: Final = {
    "all": Role.ALL,
    "write": Role.WRITE,
    "read": Role.READ,
    "backend": Role.BACKEND,
    "distributor": Role.WRITE,
    "ingester": Role.WRITE,
    "querier": Role.READ,
    "query-frontend": Role.READ,
    "query-scheduler": Role.READ,
    "index-gateway": Role.READ,
    "pattern-ingester": Role.WRITE,
    "compactor": Role.BACKEND,
    "ruler": Role.BACKEND,
    "table-manager": Role.BACKEND,
}
