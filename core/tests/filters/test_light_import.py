"""Filters cost no more at import than they need."""

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_filters_loads_no_heavy_library() -> None:
    heavy = ("re2", "grpc", "pydantic", "aiohttp", "yaml", "google.protobuf")
    assert run(f"import sys, prism.filters; print([name for name in {heavy} if name in sys.modules])") == "[]\n"


def test_re2_is_loaded_by_the_first_regex() -> None:
    loaded = "print('re2' in sys.modules)"
    assert run(f"import sys; from prism.filters import F; {loaded}; F.a.regex('x'); {loaded}") == "False\nTrue\n"
