# SPDX-License-Identifier: GPL-2.0-only
"""``kmm demo``: the headline in seconds."""

from __future__ import annotations

from rich.console import Console

from kmm.harness import console
from kmm.harness.check import Options, check_all

__all__ = ["run_demo"]

_BUG = ("sva_device_vs_huge_promotion",)
_FIX = ("sva_device_vs_huge_promotion", "sva_device_walks_reused_table", "sva_device_vs_pmd_table",
        "sva_device_vs_vunmap")

_BEFORE = """\
A device shares a process's address space (SVA): its IOMMU walks the
process's page tables, whose upper half is the kernel's.  The kernel maps a
range with a huge page and frees the PTE table below.  First the kernel
before the fix of CVE-2025-71089 and CVE-2025-71202:
"""

_AFTER = """\
The merged fix queues kernel page tables; one worker invalidates every bound
IOMMU, then frees them.  The same scenario, and its siblings:
"""


def run_demo() -> int:
    """Find the bug, then explore the fix.

    :return: exit code: 0 if both came out as they must.
    """
    out = Console()
    watcher = console.observer()
    out.print(_BEFORE, highlight=False)
    broken = check_all(Options(_BUG, settings=("ASYNC_KERNEL_PGTABLE_FREE=n",)), watcher)
    out.print()
    out.print(_AFTER, highlight=False)
    fixed = check_all(Options(_FIX), watcher)
    out.print()
    if broken.exit_code == 1 and fixed.exit_code == 0:
        out.print("The bug is found, and needs no race.  The fix holds in this model, in each of "
                  f"{len(_FIX)} scenarios,\nunder every schedule that matters.  Next: kmm check --help",
                  highlight=False)
        return 0
    out.print("This is not what the demo must show; please report it.", highlight=False)
    return 1
