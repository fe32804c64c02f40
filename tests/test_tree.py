# SPDX-License-Identifier: GPL-2.0-only
"""Kernel paths and module names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kmm.tree import is_linux, locate, module_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("file", "module"), [
    ("mm/init-mm.c", "kmm.mm.init_mm"),
    ("./mm/init-mm.c", "kmm.mm.init_mm"),
    ("mm/init_mm.py", "kmm.mm.init_mm"),
    ("include/asm-generic/tlb.h", "kmm.include.asm_generic.tlb"),
    ("arch/x86/mm", "kmm.arch.x86.mm"),
    ("kmm.mm.vmalloc", "kmm.mm.vmalloc"),
])
def test_module_name_follows_the_path(tmp_path: Path, file: str, module: str) -> None:
    assert module_name(file, tmp_path) == module


def test_module_name_tells_a_header_from_its_c_file(tmp_path: Path) -> None:
    (tmp_path / "iommu_h.py").touch()
    assert module_name("iommu.h", tmp_path) == "kmm.iommu_h"
    assert module_name("iommu.c", tmp_path) == "kmm.iommu"


def test_locate_finds_modules_and_packages(tmp_path: Path) -> None:
    (tmp_path / "mm").mkdir()
    (tmp_path / "mm" / "gup.py").touch()
    assert locate(tmp_path, "kmm.mm.gup") == (tmp_path / "mm" / "gup.py", False)
    assert locate(tmp_path, "kmm.mm") == (tmp_path / "mm" / "__init__.py", True)
    assert locate(tmp_path, "kmm.mm.absent") is None


def test_is_linux_excludes_the_bench() -> None:
    assert is_linux("kmm.mm.gup") and is_linux("kmm.mm")
    assert not any(map(is_linux, ("kmm", "kmm.c", "kmm.hooks", "kmm.harness.machine", "kmm.mmx", "mm.gup")))
