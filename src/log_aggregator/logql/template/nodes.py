"""The syntax tree of a template. `str(node)` is the source as Go prints it in error messages.

`pos` is the offset that Go reports for the node, in characters.
"""

from dataclasses import dataclass
from typing import TypeAlias

from log_aggregator.logql.template.strconv import quote_text


@dataclass(frozen=True, slots=True)
class Identifier:
    """The name of a function."""

    pos: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x`, possibly with fields: `$x.a.b`. The name keeps its dollar sign."""

    pos: int
    name: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.fields))


@dataclass(frozen=True, slots=True)
class Dot:
    pos: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil:
    pos: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`.a` or `.a.b`."""

    pos: int
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return "." + ".".join(self.fields)


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of something that is neither dot nor a variable: `(f 1).a`."""

    pos: int
    operand: "Operand"
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((_in_parentheses(self.operand), *self.fields))


@dataclass(frozen=True, slots=True)
class Bool:
    pos: int
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number:
    """A constant, as each type that can hold it; `is_float_text` if it is a float where no type is asked for."""

    pos: int
    text: str
    integer: int | None
    floating: float
    is_float_text: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String:
    pos: int
    source: str
    value: bytes

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function or method with its arguments."""

    pos: int
    args: tuple["Operand", ...]

    def __str__(self) -> str:
        return " ".join(_in_parentheses(arg) for arg in self.args)


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each passing its value on as last argument of the next; then the variables that take the result."""

    pos: int
    names: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        commands = " | ".join(str(command) for command in self.commands)
        if not self.names:
            return commands
        return f"{', '.join(self.names)} {'=' if self.assigns else ':='} {commands}"


Operand: TypeAlias = Identifier | Variable | Dot | Nil | FieldPath | Chain | Bool | Number | String | Pipe


@dataclass(frozen=True, slots=True)
class Text:
    value: bytes


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is printed, unless it sets variables."""

    pos: int
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class If:
    """Conditions with their bodies, of which the first that is true is run."""

    branches: tuple[tuple[Pipe, tuple["Node", ...]], ...]
    orelse: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class With:
    """Like If, but the value of the condition becomes dot in its body."""

    branches: tuple[tuple[Pipe, tuple["Node", ...]], ...]
    orelse: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Range:
    pipe: Pipe
    body: tuple["Node", ...]
    orelse: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class TemplateCall:
    pos: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        argument = f" {self.pipe}" if self.pipe else ""
        return f"{{{{template {quote_text(self.name)}{argument}}}}}"


@dataclass(frozen=True, slots=True)
class Break:
    pass


@dataclass(frozen=True, slots=True)
class Continue:
    pass


Node: TypeAlias = Text | Action | If | With | Range | TemplateCall | Break | Continue

Located: TypeAlias = Operand | Command | Action | TemplateCall


def _in_parentheses(operand: Operand) -> str:
    return f"({operand})" if isinstance(operand, Pipe) else str(operand)
