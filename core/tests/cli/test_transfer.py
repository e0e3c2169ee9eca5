"""`prism import` and `prism export` against a real proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

Cli = Callable[..., Any]


def written(path: Path, *lines: dict[str, Any] | str) -> str:
    path.write_text("".join((line if isinstance(line, str) else orjson.dumps(line).decode()) + "\n" for line in lines))
    return str(path)


def test_several_batches_are_registered(prism: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "many.jsonl", *({"identity": f"i-{n}", "n": n} for n in range(4_500)))
    done = prism("import", file)
    assert done.code == 0
    assert done.out.startswith("registered 4,500 in ")
    assert "/s)" in done.out
    assert prism("ls", "--count", "--where", "n>=4000").out == "500\n"


def test_bad_line_stops_the_import_and_is_named(prism: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bad.jsonl", {"identity": "a"}, "{", {"identity": "c"})
    done = prism("import", file)
    assert done.code == 1
    assert "line 2: not JSON" in done.err
    assert "--on-error skip" in done.err
    assert done.out.startswith("registered 1 in ")
    assert [found["identity"] for found in prism("ls", "--json").json] == ["a"]


def test_bad_lines_are_skipped_by_flag(prism: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bad.jsonl", {"identity": "a"}, "{", "[]", {"identity": "d"}, {"room": "x"})
    done = prism("import", file, "--on-error", "skip")
    assert done.code == 0
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        "line 2",
        "line 3",
        "line 5",
        "skipped 3 bad lines",
    ]
    assert prism("ls", "--count").out == "2\n"


def test_line_that_the_registry_refuses_is_named(prism: Cli, tmp_path: Path) -> None:
    prism("register", "b")
    file = written(tmp_path / "twice.jsonl", {"identity": "a"}, {"identity": "b"}, {"identity": "x" * 600})
    done = prism("import", file, "--on-error", "skip")
    assert done.code == 0
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["line 2", "line 3", "skipped 2 bad lines"]
    assert prism("import", file, "--replace").code == 1


def test_many_bad_lines_are_counted_not_listed(prism: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bad.jsonl", *["{"] * 50)
    done = prism("import", file, "--on-error", "skip")
    assert "skipped 50 bad lines" in done.err
    assert len(done.err.splitlines()) < 30


def test_import_takes_standard_input_and_an_id_field(prism: Cli) -> None:
    done = prism("import", "-", "--format", "csv", "--id-field", "icao", stdin="icao,location.lat\nLSZH,47.5\n")
    assert done.code == 0
    assert prism("get", "LSZH", "--json").json["metadata"] == {"icao": "LSZH", "location": {"lat": 47.5}}


@pytest.mark.parametrize("file", ["no-such-file.jsonl", "."])
def test_unreadable_file_is_a_usage_error(prism: Cli, file: str) -> None:
    assert prism("import", file).code == 2


def test_file_that_is_not_utf8_is_refused(prism: Cli, tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes(b"identity,city\na,Z\xfcrich\n")
    done = prism("import", str(file))
    assert done.code == 2
    assert "UTF-8" in done.err


def test_exported_lines_are_imported_unchanged(prism: Cli, tmp_path: Path) -> None:
    metadata = {
        "room": "kitchen",
        "power": 1.0,
        "big": 2**62,
        "code": "007",
        "tags": ["a", None],
        "place": {"lat": 1.5},
    }
    prism("register", "lamp-1", "--metadata", orjson.dumps(metadata).decode())
    file = tmp_path / "out.jsonl"
    done = prism("export", str(file))
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("exported 1 in ")
    prism("unregister", "lamp-1")
    assert prism("import", str(file)).code == 0
    found = prism("get", "lamp-1", "--json").json["metadata"]
    assert found == metadata
    assert isinstance(found["power"], float)


def test_export_to_standard_output_is_only_the_data(prism: Cli) -> None:
    prism("register", "a", "room=x")
    prism("register", "b", "room=y")
    done = prism("export", "--where", "room=x")
    [line] = done.out.splitlines()
    assert orjson.loads(line)["identity"] == "a"
    assert done.err == ""


def test_csv_has_a_column_for_each_place(prism: Cli, tmp_path: Path) -> None:
    prism("register", "a", "room=x, y", "place.lat=1.5")
    prism("register", "b", "power=3")
    file = tmp_path / "out.csv"
    assert prism("export", str(file)).code == 0
    assert file.read_text() == 'identity,room,place.lat,power\na,"x, y",1.5,\nb,,,3\n'
    prism("unregister", "a", "b")
    assert prism("import", str(file)).code == 0
    assert prism("get", "a", "--json").json["metadata"] == {"room": "x, y", "place": {"lat": 1.5}}


def test_failed_export_leaves_no_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    assert cli("export", str(file), "--address", "127.0.0.1:1").code == 5
    assert list(tmp_path.iterdir()) == []
