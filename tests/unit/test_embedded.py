"""What is found out about an embedded Redis that has ended."""

from pathlib import Path

import pytest

from log_aggregator.embedded import last_complaints

START = "310:M 25 Nov 2026 17:22:51.110 * Ready to accept connections unix\n"
SHORT = "310:M 25 Nov 2026 17:22:54.907 # Short write while writing to the AOF file: (nwritten=44, expected=60)\n"
EXITING = "310:M 25 Nov 2026 17:22:54.907 # Can't recover from AOF write error. Exiting...\n"


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        (START + SHORT, "Short write while writing to the AOF file: (nwritten=44, expected=60)"),
        (
            START + SHORT + EXITING,
            "Short write while writing to the AOF file: (nwritten=44, expected=60); "
            "Can't recover from AOF write error. Exiting...",
        ),
        (SHORT + START, ""),
        (SHORT.replace("310", "31"), ""),
        (START * 1000 + EXITING, "Can't recover from AOF write error. Exiting..."),
        ("", ""),
    ],
)
def test_complaints_at_the_end_of_a_log_are_those_of_its_process(tmp_path: Path, text: str, complaints: str) -> None:
    log = tmp_path / "server.log"
    log.write_text(text)
    assert last_complaints(log, 310) == complaints


def test_missing_log_holds_no_complaints(tmp_path: Path) -> None:
    assert last_complaints(tmp_path / "server.log", 310) == ""
