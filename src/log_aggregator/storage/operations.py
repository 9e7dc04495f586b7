"""The names of a store's operations in metrics and messages: those that Loki's dashboards know."""

from enum import StrEnum


class Operation(StrEnum):
    GET = "get"
    GET_RANGE = "get_range"
    ATTRIBUTES = "attributes"  # head
    UPLOAD = "upload"  # put
    DELETE = "delete"
    ITER = "iter"  # list, list_prefixes
