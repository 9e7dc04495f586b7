"""The instants at which a metric query is evaluated."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Steps:
    """`first_ns`, `first_ns + step_ns`, ... up to `last_ns`, which is one of them. An instant query has one step."""

    first_ns: int
    last_ns: int
    step_ns: int

    def __post_init__(self) -> None:
        assert self.step_ns > 0
        assert self.first_ns <= self.last_ns
        assert (self.last_ns - self.first_ns) % self.step_ns == 0

    @classmethod
    def at(cls, time_ns: int) -> "Steps":
        """The one step of an instant query."""
        return cls(time_ns, time_ns, 1)

    @classmethod
    def aligned(cls, start_ns: int, end_ns: int, step_ns: int) -> "Steps":
        """Multiples of the step since the epoch: as in Loki, start is rounded down and end up."""
        first_ns = start_ns // step_ns * step_ns
        last_ns = -(-end_ns // step_ns) * step_ns
        return cls(first_ns, last_ns, step_ns)

    def __len__(self) -> int:
        return (self.last_ns - self.first_ns) // self.step_ns + 1

    @property
    def times_ns(self) -> range:
        return range(self.first_ns, self.last_ns + 1, self.step_ns)
