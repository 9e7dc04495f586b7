"""The keys of the configuration as its sections declare them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from log_aggregator.model.section import Section

Path = tuple[str, ...]


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """By the name that stands in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a key holds: itself, optional, or as an item of a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for inner in get_args(annotation) if (found := section_in(inner)) is not None), None)


def is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


@cache
def leaf_fields(section: type[Section]) -> Mapping[Path, FieldInfo]:
    """Every key that holds a value, lists of sections included."""
    return dict(_leaves(section, ()))


def is_secret(section: type[Section], path: tuple[str | int, ...]) -> bool:
    """Whether what stands at the path (of keys and indices) must not be shown."""
    for step in path:
        if isinstance(step, int):
            continue
        field = fields_of(section).get(step)
        if field is None:
            return False
        if field.annotation is SecretStr:
            return True
        inner = section_in(field.annotation)
        if inner is None:
            return False
        section = inner
    return False


def _leaves(section: type[Section], above: Path) -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in fields_of(section).items():
        inner = section_in(field.annotation)
        if inner is None or is_list(field):
            yield (*above, name), field
        else:
            yield from _leaves(inner, (*above, name))
