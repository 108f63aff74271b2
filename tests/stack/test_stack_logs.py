"""The log files of the stack: bounded, dated, and read together in the order of time."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest

from souk.commands.reading import last_lines, log_files
from souk.stack import output
from souk.stack.output import LogFile, Output


def test_a_log_never_takes_more_than_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "FILE_BYTES", 1000)
    log = LogFile(tmp_path / "api.log")
    for number in range(200):
        log.write(f"line {number:04}")
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.log", "api.log.1", "api.log.2"]
    kept = "".join((tmp_path / name).read_text() for name in ("api.log.2", "api.log.1", "api.log"))
    numbers = [int(number) for number in re.findall(r"line (\d+)", kept)]
    assert numbers == list(range(numbers[0], 200))


def test_every_line_has_its_moment_and_the_terminal_the_name_of_who_spoke(tmp_path: Path) -> None:
    terminal = StringIO()
    out = Output(tmp_path, terminal=terminal)
    out.line("api", "hello")
    out.close()
    assert terminal.getvalue() == "api      | hello\n"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z hello\n", (tmp_path / "api.log").read_text())


@pytest.mark.parametrize(
    "said",
    [
        '{"event": "request", "level": "info"}',
        '{"event":"request","level":"info"}',
        "[INFO] AsyncEmbeddedEngine: Engine is stopped.",
        "880:M 24 Nov 2026 03:35:34.299 * Ready to accept connections tcp",
        "879 LOG:  database system is ready to accept connections",
        "1191 souk_cdc/Debezium Streaming DETAIL:  There are no running transactions.",
    ],
)
def test_what_is_routine_goes_to_the_file_and_not_to_the_terminal(said: str, tmp_path: Path) -> None:
    terminal = StringIO()
    out = Output(tmp_path, terminal=terminal)
    out.line("part", said)
    out.line("part", '{"event": "unhandled error", "level": "error"}')
    out.close()
    assert terminal.getvalue() == 'part     | {"event": "unhandled error", "level": "error"}\n'
    assert said in (tmp_path / "part.log").read_text()


def test_several_logs_are_read_together_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text("2026-01-01T00:00:01.000Z first\n2026-01-01T00:00:03.000Z third\n")
    (tmp_path / "worker.log").write_text("2026-01-01T00:00:02.000Z second\n")
    assert last_lines(log_files(tmp_path, ""), 2) == [
        "2026-01-01T00:00:02.000Z worker   | second",
        "2026-01-01T00:00:03.000Z api      | third",
    ]
    assert last_lines(log_files(tmp_path, "worker"), 9) == ["2026-01-01T00:00:02.000Z second"]
    assert log_files(tmp_path, "nobody") == {}
