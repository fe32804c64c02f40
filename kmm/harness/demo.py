# SPDX-License-Identifier: GPL-2.0-only
"""``kmm demo``: the headline in seconds."""

from __future__ import annotations

from rich.console import Console
from rich.rule import Rule as Line

from kmm.harness import console
from kmm.harness.check import Options, check_all

__all__ = ["run_demo"]

_SCENARIO = "sva_device_vs_huge_promotion"

_BEFORE = """\
A process shares its address space with a device (SVA): the IOMMU walks the process's page tables,
whose upper half is the kernel's. The kernel promotes a vmap range to a huge page and frees the PTE
table below. First the kernel before the fix of CVE-2025-71089 / CVE-2025-71202:"""

_AFTER = """\
The merged fix queues kernel page tables; one worker invalidates every bound IOMMU, then frees:"""


def run_demo() -> int:
    """Find the bug, then explore the fix.

    :return: exit code: 0 if both came out as they must.
    """
    out = Console()
    watcher = console.observer()
    out.print(_BEFORE, highlight=False)
    out.print()
    broken = check_all(Options((_SCENARIO,), settings=("ASYNC_KERNEL_PGTABLE_FREE=n",)), watcher)
    out.print()
    out.print(Line(style="dim"))
    out.print(_AFTER, highlight=False)
    out.print()
    fixed = check_all(Options((_SCENARIO,)), watcher)
    check = fixed.checks[0]
    out.print()
    if broken.exit_code == 1 and fixed.exit_code == 0:
        out.print(f"The bug is found; the fix holds under all {check.executions} schedules that matter, "
                  "in this model. Next: kmm check --help", highlight=False)
        return 0
    out.print("This is not what the demo must show: please report it.", highlight=False)
    return 1
