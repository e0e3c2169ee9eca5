"""Makes `.venv` in the checkout: `python3 .ci/environment.py demo|dev`. Uses the standard library alone.

`demo` installs what running Prism needs, `dev` also what testing and measuring it needs. Nothing is done, and no
network is needed, while the files that decide what is installed are the same as at the last complete installation:
a stamp written last records their digest, so that an installation that was killed is done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
BUILD = ["hatchling", "editables"]
"""What builds the distributions."""
MINIMUM = (3, 11)


def distributions() -> list[Path]:
    """The folders of the distributions that exist, those that others depend on first."""
    found = [ROOT / "core", *sorted((ROOT / "plugins").glob("*")), ROOT / "conformance"]
    return [folder for folder in found if (folder / "pyproject.toml").is_file()]


def digest(level: str) -> str:
    """What the installation depends on: the interpreter, the place of the checkout, projects and constraints."""
    state = hashlib.sha256(f"{level}\n{sys.version}\n{sys.prefix}\n{ROOT}\n".encode())
    inputs = [ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__)]
    if level == "dev":
        inputs += [folder / "pyproject.toml" for folder in distributions()]
    else:
        inputs.append(ROOT / "core" / "pyproject.toml")
    for path in inputs:
        state.update(path.relative_to(ROOT).as_posix().encode() + b"\n" + path.read_bytes())
    return state.hexdigest()


def pip(*arguments: str) -> None:
    """Runs the environment's pip on exactly the versions in constraints.txt."""
    command = [
        str(PYTHON),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-compile",
        "--constraint",
    ]
    subprocess.run([*command, str(CONSTRAINTS), *arguments], check=True, cwd=ROOT)


def development_tools() -> list[str]:
    """The `dev` dependency group of the root project."""
    import tomllib  # noqa: PLC0415 - absent before Python 3.11, where main() has a message for the user

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return list(groups["dev"])


def editable() -> list[str]:
    """What pip needs to install every distribution from its folder, with all its extras."""
    import tomllib  # noqa: PLC0415 - as above

    arguments = []
    for folder in distributions():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        extras = ",".join(project.get("optional-dependencies", {}))
        place = f"./{folder.relative_to(ROOT).as_posix()}"
        arguments += ["--editable", f"{place}[{extras}]" if extras else place]
    return arguments


def install(level: str) -> None:
    """Makes the environment where it isn't one, and installs. The build tools first: nothing is built in isolation."""
    made = VENV / ".made"
    here = f"{sys.version}\n{ROOT}"
    if not PYTHON.exists() or not made.exists() or made.read_text() != here:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip("--upgrade", "pip")  # an old one takes several times as long to read the index
        made.write_text(here)
    if level == "demo":
        pip(*BUILD)
        pip("--no-build-isolation", "--editable", "core[cli]")
        return
    pip(*BUILD, *development_tools())
    pip("--no-build-isolation", *editable())


def ready(level: str) -> bool:
    """Whether the last complete installation of this level, or of a wider one, still holds."""
    return any(
        (stamp := VENV / f".{name}-ready").is_file() and stamp.read_text() == digest(name)
        for name in ("demo", "dev")[level == "dev" :]
    )


def main() -> None:
    """Does what the argument says, one process at a time."""
    if sys.version_info < MINIMUM:
        sys.exit(
            f"Prism needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer; {sys.executable} is {sys.version.split()[0]}."
            " Name another one: make PYTHON=python3.11 ..."
        )
    level = sys.argv[1] if len(sys.argv) == 2 else ""
    if level not in {"demo", "dev"}:
        sys.exit("usage: environment.py demo|dev")
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready(level):
            return
        print(f"setting up .venv ({level}) ...", flush=True)
        start = time.monotonic()
        try:
            install(level)
        except subprocess.CalledProcessError as error:
            sys.exit(f"setting up .venv failed (exit code {error.returncode}); the messages are above")
        (VENV / f".{level}-ready").write_text(digest(level))
        print(f"setting up .venv took {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
