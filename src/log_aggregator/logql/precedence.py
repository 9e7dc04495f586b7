"""How tightly binary operators bind: the more, the higher, and from left to right but for the power."""

PRECEDENCE = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(("==", "!=", ">", ">=", "<", "<="), 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "^": 6,
}
_RIGHT_ASSOCIATIVE = "^"


def operand_precedences(operator: str) -> tuple[int, int]:
    """The lowest that operations to the left and to the right of an operator have without parentheses."""
    own = PRECEDENCE[operator]
    return (own + 1, own) if operator == _RIGHT_ASSOCIATIVE else (own, own + 1)
