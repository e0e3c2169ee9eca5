"""Writes constraints.txt anew: the newest versions that fit together, as `name==version` and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from environment import BUILD, CONSTRAINTS, ROOT, development_tools, editable

HEADER = "# What `make test` installs, exactly. Written by `make constraints`.\n"


def main() -> None:
    """Installs everything into a throw-away environment without constraints, and writes down what that gave."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, "install", "--quiet", "--upgrade", "pip"], check=True)
        subprocess.run([*pip, "install", "--quiet", *BUILD, *development_tools(), *editable()], check=True, cwd=ROOT)
        freeze = [*pip, "list", "--format=freeze", "--exclude-editable"]
        listed = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
    CONSTRAINTS.write_text(HEADER + listed)
    print(f"{CONSTRAINTS.name}: {len(listed.splitlines())} packages")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"constraints.txt stays as it was; a step failed with exit code {error.returncode}, see above")
