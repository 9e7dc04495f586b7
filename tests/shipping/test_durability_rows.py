"""What docs/durability.md says of losses is tried by tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/durability.md").read_text()))
    sources = "".join(path.read_text() for path in (ROOT / "tests/integration").glob("test_*.py"))
    assert named
    assert not {name for name in named if f"def {name}(" not in sources}
