"""A block of the configuration file as a value."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Loki's keys as fields. Secrets may stand in any input, so errors never repeat the input."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
