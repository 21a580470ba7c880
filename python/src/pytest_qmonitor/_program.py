"""Finds the program that the wheel carries."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Iterator

NAME = "qmonitor-mock"


def _places() -> Iterator[Path]:
    """Where installers put the scripts of a package, the likeliest first."""
    yield Path(sysconfig.get_path("scripts"))
    # `pip install --user`
    yield Path(sysconfig.get_path("scripts", f"{os.name}_user"))
    # `pip install --prefix` and `--target`: beside what is imported.
    here = Path(__file__).resolve().parent.parent
    yield here / "bin"
    yield here.parent.parent.parent / "bin"
    # A virtual environment made without its scripts in the path.
    yield Path(sys.executable).parent


def find_program() -> str:
    """The path of ``qmonitor-mock``: what QMONITOR_MOCK says, or the wheel's own."""
    chosen = os.environ.get("QMONITOR_MOCK")
    if chosen:
        return chosen
    for place in _places():
        if os.access(place / NAME, os.X_OK):
            return str(place / NAME)
    found = shutil.which(NAME)
    if found:
        return found
    raise FileNotFoundError(
        f"{NAME} is not where the package was installed; name it with QMONITOR_MOCK"
    )
