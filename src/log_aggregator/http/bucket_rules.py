"""The page that shows the bucket's expiry rules as the bucket has them now."""

from dataclasses import dataclass

from sanic.response import HTTPResponse

from log_aggregator.errors import LogAggregatorError
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route
from log_aggregator.storage.expiry import ExpiryRules


@dataclass(frozen=True, slots=True)
class BucketRuleRoutes:
    """`lifecycle` is None where objects are files, which have no such rules."""

    lifecycle: ExpiryRules | None

    def routes(self) -> tuple[Route, ...]:
        return (Route("compactor_lifecycle", ("/compactor/lifecycle",), ("GET",), self._rules, tenant=False),)

    async def _rules(self, call: Call) -> HTTPResponse:
        """What is refused is told here, to an operator, and is no failure: the janitor does the same work."""
        try:
            found = await self.lifecycle.own_rules() if self.lifecycle is not None else []
        except LogAggregatorError as error:
            return json_response(call.request, {"rules": [], "error": str(error)})
        rules = [{"id": rule.rule_id, "prefix": rule.prefix, "days": rule.days} for rule in found]
        return json_response(call.request, {"rules": rules})
