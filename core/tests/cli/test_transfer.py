"""`prism import` and `prism export` against a real proxy."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

Cli = Callable[..., Any]


def seconds_between(left: str | None, right: str | None) -> float:
    if left is None or right is None:
        return 0 if left is right else float("inf")
    return abs((datetime.fromisoformat(left) - datetime.fromisoformat(right)).total_seconds())


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
    assert done.code == 2
    assert "line 2: not JSON" in done.err
    assert "--on-error skip" in done.err
    assert done.out.startswith("registered 1 in ")
    assert [found["identity"] for found in prism("ls", "--json").json] == ["a"]


def test_what_is_registered_already_stops_the_import_with_the_fix(prism: Cli, tmp_path: Path) -> None:
    for name in "abc":
        prism("register", name)
    done = prism("import", written(tmp_path / "again.jsonl", *({"identity": name} for name in "abcd")))
    assert done.code == 1
    stopped, hint = done.err.splitlines()[-2:]
    assert stopped == "error: stopped at line 1, which is bad; 2 more of the lines sent with it are bad"
    assert hint == "try: --replace takes over what is registered already, --on-error skip goes on past bad lines"


def test_export_says_that_it_writes_no_such_format(prism: Cli, tmp_path: Path) -> None:
    prism("register", "a")
    done = prism("export", str(tmp_path / "b.xml"))
    assert done.code == 0
    assert "Prism writes them or CSV, and no .xml (--format says which)" in done.err
    assert ".jsonl" not in prism("export", str(tmp_path / "b.jsonl")).err.splitlines()[0]
    assert "no .xml" not in prism("export", str(tmp_path / "b.xml"), "--format", "csv").err


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
    assert prism("import", file, "--replace").code == 2  # the line is wrong in itself


def test_import_that_the_registry_stops_ends_with_1(prism: Cli, tmp_path: Path) -> None:
    prism("register", "b")
    assert prism("import", written(tmp_path / "one.jsonl", {"identity": "b"})).code == 1


def test_line_without_a_name_is_reported_by_its_number_alone(prism: Cli, tmp_path: Path) -> None:
    done = prism("import", written(tmp_path / "one.jsonl", {"identity": ""}))
    assert done.err.startswith("line 1: identity: is empty; it needs at least one character")


@pytest.mark.parametrize("on_error", ["skip", "fail"])
def test_header_without_the_identity_is_told_once(prism: Cli, tmp_path: Path, on_error: str) -> None:
    file = tmp_path / "airports.csv"
    file.write_text("icao,city\n" + "LSZH,Zurich\n" * 50)
    done = prism("import", str(file), "--on-error", on_error)
    assert done.code == 2
    assert done.err.count('the header has no column "identity"; it has icao, city') == 1
    assert "line" not in done.err


def test_time_left_survives_export_and_import(prism: Cli, tmp_path: Path) -> None:
    prism("register", "short", "--ttl", "100")
    prism("register", "long", "--ttl", "1h")
    prism("register", "forever", "--ttl", "0")
    before = {name: prism("get", name, "--json").json["expires_at"] for name in ("short", "long", "forever")}
    for file in (tmp_path / "out.jsonl", tmp_path / "out.csv"):
        assert prism("export", str(file)).code == 0
        prism("unregister", *before)
        assert prism("import", str(file)).code == 0
        for name, moment in before.items():
            assert seconds_between(moment, prism("get", name, "--json").json["expires_at"]) <= 2


def test_time_to_live_of_the_command_line_goes_before_that_of_the_line(prism: Cli, tmp_path: Path) -> None:
    past = {"identity": "a", "metadata": {}, "expires_at": "2020-01-01T00:00:00.000000Z"}
    assert prism("import", written(tmp_path / "one.jsonl", past), "--ttl", "0").code == 0
    assert prism("get", "a", "--json").json["expires_at"] is None


def test_expired_line_is_reported_and_skipped(prism: Cli, tmp_path: Path) -> None:
    past = {"identity": "a", "metadata": {}, "expires_at": "2020-01-01T00:00:00Z"}
    done = prism("import", written(tmp_path / "two.jsonl", past, {"identity": "b"}))
    assert done.code == 0
    assert done.err == "line 1: a: expired at 2020-01-01T00:00:00.000000Z\nskipped 1 expired line\n"
    assert [found["identity"] for found in prism("ls", "--json").json] == ["b"]


def test_last_of_several_lines_for_an_identity_counts(prism: Cli, tmp_path: Path) -> None:
    lines = ({"identity": "a", "metadata": {"n": n}, "expires_at": f"2090-01-01T00:00:{n % 2:02}Z"} for n in range(9))
    assert prism("import", written(tmp_path / "same.jsonl", *lines), "--replace").code == 0
    assert prism("get", "a", "--json").json["metadata"] == {"n": 8}


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


def test_export_to_a_device_writes_to_it(prism: Cli, tmp_path: Path) -> None:
    prism("register", "a")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_bytes)
        assert prism("export", str(pipe)).code == 0
        assert orjson.loads(reading.result(20))["identity"] == "a"
    done = prism("export", "/dev/full")
    assert done.code == 1
    assert done.err == "error: /dev/full can't be written: No space left on device\n"


@pytest.mark.parametrize("file", [".", "no-such-folder/out.jsonl"])
def test_file_that_cannot_be_made_is_a_usage_error(prism: Cli, file: str) -> None:
    assert prism("export", file).code == 2


def test_failed_export_leaves_no_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    assert cli("export", str(file), "--address", "127.0.0.1:1").code == 5
    assert list(tmp_path.iterdir()) == []
