"""Memory of one purpose that tenants share, such that none takes what the others need."""

from collections import Counter
from dataclasses import dataclass, field

# A tenant alone gets three quarters. Of several that take all they can, each gets as much as the others, and some is
# left for one that comes later.
_TIMES_WHAT_IS_LEFT = 3


def has_room(capacity_bytes: int, used_bytes: int, own_bytes: int, more_bytes: int) -> bool:
    """Whether a tenant that holds `own_bytes` of what is used may have some more.

    It may hold thrice as much as is free then.
    """
    left = capacity_bytes - used_bytes - more_bytes
    return left >= 0 and own_bytes + more_bytes <= _TIMES_WHAT_IS_LEFT * left


@dataclass(slots=True)
class Room:
    """Not for several threads."""

    capacity_bytes: int
    used_bytes: int = 0
    _held: Counter[str] = field(default_factory=Counter)

    @property
    def largest_bytes(self) -> int:
        """What a tenant can have at most, when nobody else has any."""
        return self.capacity_bytes * _TIMES_WHAT_IS_LEFT // (_TIMES_WHAT_IS_LEFT + 1)

    def take(self, tenant: str, size_bytes: int) -> bool:
        """Whether the tenant has got it."""
        if not has_room(self.capacity_bytes, self.used_bytes, self._held[tenant], size_bytes):
            return False
        self._held[tenant] += size_bytes
        self.used_bytes += size_bytes
        return True

    def give_back(self, tenant: str, size_bytes: int) -> None:
        self._held[tenant] -= size_bytes
        self.used_bytes -= size_bytes
        assert self._held[tenant] >= 0, "nothing is given back twice"
        if not self._held[tenant]:
            del self._held[tenant]
