"""How long entries are kept: a tenant's `retention_period`, and `retention_stream` for streams that one selects."""

from dataclasses import dataclass, field
from typing import Final

from log_aggregator.engine.selector import Accepts, Selector
from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.parser import parse_selector
from log_aggregator.model.labels import Labels
from log_aggregator.model.limits import Limits
from log_aggregator.model.segment import clamped_ns

_FOR_EVER: Final = 1 << 64  # more than there is between any two timestamps


@dataclass(frozen=True, slots=True)
class _Rule:
    matchers: tuple[Matcher, ...]
    accepts: Accepts = field(repr=False)
    period_ns: int


class Retention:
    """Periods in nanoseconds."""

    def __init__(self, limits: Limits) -> None:
        """Raises ParseError when a selector cannot be read."""
        self._period_ns = limits.retention_period or _FOR_EVER
        # Of several that match, the one of the highest priority counts, and of those the shortest period.
        ordered = sorted(limits.retention_stream, key=lambda rule: (-rule.priority, rule.period))
        parsed = [(parse_selector(rule.selector), rule.period) for rule in ordered]
        self._rules = [_Rule(matchers, Selector(matchers), period) for matchers, period in parsed]

    @property
    def is_endless(self) -> bool:
        """Nothing ever expires."""
        return not self._rules and self._period_ns == _FOR_EVER

    @property
    def longest_ns(self) -> int:
        """Whatever is older than this has expired, of any stream."""
        return max([self._period_ns, *(rule.period_ns for rule in self._rules)])

    def oldest_ns(self, now_ns: int) -> int:
        """Whatever is older has expired, of any stream."""
        return clamped_ns(now_ns - self.longest_ns)

    @property
    def shortest_ns(self) -> int:
        """Whatever is younger than this has not expired, of no stream."""
        return min([self._period_ns, *(rule.period_ns for rule in self._rules)])

    def period_ns(self, labels: Labels) -> int:
        """How long the stream's entries are kept."""
        return next((rule.period_ns for rule in self._rules if rule.accepts(labels)), self._period_ns)
