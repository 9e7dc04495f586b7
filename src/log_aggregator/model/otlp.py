"""What becomes of the attributes of OpenTelemetry logs: Loki's `limits_config.otlp_config`.

Names, defaults and the order of rules are Loki's (its configuration reference, otlp_config).
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Self

import re2
from pydantic import field_validator, model_validator

from log_aggregator.model.section import Section

DEFAULT_INDEX_LABELS: Final = (
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
)
"""Resource attributes that name a stream unless the configuration, or a tenant's, says otherwise."""


class Action(StrEnum):
    INDEX_LABEL = "index_label"  # a label of the stream
    STRUCTURED_METADATA = "structured_metadata"  # of each entry
    DROP = "drop"


class AttributeRule(Section):
    """An action for attributes named one by one, or by a regular expression that matches the whole name."""

    action: Action = Action.STRUCTURED_METADATA
    attributes: tuple[str, ...] = ()
    regex: str = ""

    @field_validator("regex")
    @classmethod
    def _readable(cls, regex: str) -> str:
        try:
            _pattern(regex)
        except re2.error as error:
            raise ValueError(f"not a regular expression: {regex}") from error
        return regex

    @model_validator(mode="after")
    def _names_attributes_in_one_way(self) -> Self:
        if not self.attributes and not self.regex:
            raise ValueError("attributes or regex must be set")
        if self.attributes and self.regex:
            raise ValueError("only one of attributes or regex must be set")
        return self

    def applies_to(self, attribute: str) -> bool:
        if self.regex:
            return _pattern(self.regex).fullmatch(attribute) is not None
        return attribute in self.attributes


class ResourceAttributes(Section):
    ignore_defaults: bool = False
    """Let only `attributes_config` say which attributes are index labels."""
    attributes_config: tuple[AttributeRule, ...] = ()

    def rules(self, defaults: tuple[str, ...]) -> tuple[AttributeRule, ...]:
        """With the attributes that are index labels by default."""
        if self.ignore_defaults or not defaults:
            return self.attributes_config
        return (_index_labels(defaults), *self.attributes_config)


class OtlpSettings(Section):
    """Of one tenant. The first rule that applies decides; what no rule applies to is structured metadata."""

    resource_attributes: ResourceAttributes = ResourceAttributes()
    scope_attributes: tuple[AttributeRule, ...] = ()
    log_attributes: tuple[AttributeRule, ...] = ()
    severity_text_as_label: bool = False
    """A record's severity text is also the index label severity_text."""

    @field_validator("scope_attributes")
    @classmethod
    def _no_index_labels(cls, rules: tuple[AttributeRule, ...]) -> tuple[AttributeRule, ...]:
        if any(rule.action is Action.INDEX_LABEL for rule in rules):
            raise ValueError("index_label action is only supported for resource_attributes and log_attributes")
        return rules


def action_for(attribute: str, rules: Iterable[AttributeRule]) -> Action:
    return next((rule.action for rule in rules if rule.applies_to(attribute)), Action.STRUCTURED_METADATA)


@lru_cache(1000)
def _pattern(regex: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(regex, options=options)


@lru_cache(10)
def _index_labels(attributes: tuple[str, ...]) -> AttributeRule:
    return AttributeRule(action=Action.INDEX_LABEL, attributes=attributes)
