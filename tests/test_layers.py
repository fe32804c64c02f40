# SPDX-License-Identifier: GPL-2.0-only
"""The layers: who may import whom."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    result = subprocess.run([sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()",
                             "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_hardware_imports_nothing_of_linux() -> None:
    """Import-linter does not read Cython."""
    for file in sorted((ROOT / "kmm_ext").glob("*.p[xy]*")):
        assert not re.search(r"^\s*(c?import|from)\s+kmm\b", file.read_text(), re.MULTILINE), file


def test_kconfig_files_are_packaged() -> None:
    config = (ROOT / "pyproject.toml").read_text()
    kinds = {re.sub(r"^.*_", "*_", file.name) if file.name.endswith("defconfig") else file.suffix or file.name
             for file in (ROOT / "kmm" / "arch").rglob("configs/*")}
    assert {"*_defconfig", ".config"} == kinds
    for pattern in ("Kconfig", "Kconfig.*", "*.config", "*_defconfig"):
        assert f'"{pattern}"' in config
