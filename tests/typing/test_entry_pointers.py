# SPDX-License-Identifier: GPL-2.0-only
"""Levels must not mix: what a type checker says about pointers to entries, and entries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
from kmm.arch.x86.include.asm.pgtable import pmd_none, set_pmd, set_pte
from kmm.arch.x86.include.asm.pgtable_types import pmd_ptr, pmd_t, pte_ptr, pte_t, pgd_ptr
from kmm.include.linux.mm_types import page, ptdesc
from kmm.include.linux.mm import pagetable_dtor
from kmm.include.linux.pgtable import pmd_offset, ptep_get
def f(pte: pte_ptr, pmd: pmd_ptr, ptent: pte_t, pmdent: pmd_t, p: page, pt: ptdesc) -> None:
"""

GOOD = """
    set_pte(pte, ptent)
    set_pmd(pmd + 1, pmdent)
    ptep_get(pte)
    pmd_none(pmd[0])
    pmd[0] = pmdent
    pagetable_dtor(pt)
"""

#: What each line must be refused for.
BAD = {
    "set_pte(pmd, ptent)": "pmd_ptr",
    "set_pte(pte, pmdent)": "pmd_t",
    "ptep_get(pmd)": "pmd_ptr",
    "pmd_none(pte[0])": "pte_t",
    "pmd[0] = ptent": "pte_t",
    "pmd_offset(pmd, 0)": "pmd_ptr",
    "set_pte(pte, 0)": "int",
    "pagetable_dtor(p)": "page",
}


def test_mixing_levels_does_not_type_check(tmp_path):
    pytest.importorskip("mypy")
    snippet = tmp_path / "snippet.py"
    lines = [*HEAD.splitlines(), *GOOD.splitlines(), *(f"    {line}" for line in BAD)]
    snippet.write_text("\n".join(lines) + "\n")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary",
         "--cache-dir", str(tmp_path / "cache"), str(snippet)],
        cwd=ROOT, capture_output=True, text=True, check=False)
    said = {}
    for line in result.stdout.splitlines():
        if line.startswith(str(snippet)) and ": error:" in line:
            said[lines[int(line.split(":")[1]) - 1].strip()] = line
    assert set(said) == set(BAD), result.stdout + result.stderr
    for line, kind in BAD.items():
        assert kind in said[line]
