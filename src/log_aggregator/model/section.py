"""A block of the configuration file as a value."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator

_EXPONENT: Final = re.compile(r"(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,2}")


class Section(BaseModel):
    """Loki's keys as fields. Secrets may stand in any input, so errors never repeat the input."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _without_exponent(cls, value: Any, info: ValidationInfo) -> Any:
        """Templates write 1000000 as `1e+06`, also where it is a count or a size; Go reads a whole number."""
        counts = cls.model_fields[info.field_name or ""].annotation is int
        if counts and isinstance(value, str) and _EXPONENT.fullmatch(value):
            number = Decimal(value)
            return str(int(number)) if number == int(number) else value
        return value


OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]
"""Empty is none, as in Loki: templates write the keys of what is off, too."""
