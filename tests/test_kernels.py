# SPDX-License-Identifier: GPL-2.0-only
"""The real tree: every configuration links, every file can be overlaid, static data can be put back."""

from __future__ import annotations

from types import FunctionType

import pytest

from kmm.kconfig import Config
from kmm.linker import build
from kmm.overlay import Overlay
from kmm.tree import LINUX, TREE
from kmm_ext.snapshot import Image

DEBIAN = TREE / "arch" / "x86" / "configs" / "debian_7.2.13.config"

CHANGES = [
    {},
    {"SMP": "n"},
    {"NR_CPUS": "2"},
    {"BROADCAST_TLB_FLUSH": "n"},
    {"MITIGATION_PAGE_TABLE_ISOLATION": "n"},
    {"CPU_MITIGATIONS": "n", "ADDRESS_MASKING": "y"},
    {"X86_INTEL_MEMORY_PROTECTION_KEYS": "n"},
    {"TRANSPARENT_HUGEPAGE": "n"},
    {"HUGETLBFS": "n"},
    {"USERFAULTFD": "n"},
    {"MEM_SOFT_DIRTY": "n"},
    {"SWAP": "n"},
    {"NUMA": "y", "NUMA_BALANCING": "y"},
    {"INTEL_IOMMU": "n"},
    {"INTEL_IOMMU_SVM": "n"},
    {"IOMMU_SUPPORT": "n"},
    {"PREEMPT_DYNAMIC": "n"},
    {"PREEMPT_RT": "y", "EXPERT": "y"},
    {"PROVE_LOCKING": "y"},
    {"DEBUG_VM": "n"},
    {"DEBUG_LIST": "n"},
    {"ASYNC_KERNEL_PGTABLE_FREE": "n"},
    {"PT_RECLAIM": "n"},
    {"MMU_GATHER_RCU_TABLE_FREE": "n"},
    {"MMU_GATHER_RCU_TABLE_FREE": "n", "MMU_GATHER_TABLE_FREE": "y"},
    {"MMU_GATHER_NO_GATHER": "y"},
    {"MMU_GATHER_PAGE_SIZE": "y"},
    {"MMU_GATHER_NO_RANGE": "y"},
    {"MMU_GATHER_MERGE_VMAS": "n"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items()))
def test_kernel_links(changes: dict[str, str]) -> None:
    build(Config.default().with_set(changes)).link_all()


def test_kernel_of_debian_links() -> None:
    build(Config.load(DEBIAN)).link_all()


def test_every_file_can_be_overlaid() -> None:
    """A file laid over itself leaves nobody with a function of the first copy."""
    for path in sorted(path for top in LINUX for path in (TREE / top).rglob("*.py")):
        if path.name == "__init__.py" or path.parent.name == "generated":
            continue
        kernel = build(overlays=[Overlay.of("itself", {str(path.relative_to(TREE)): path.read_text()})])
        kernel.link_all()
        left = [f"{module.__name__}.{name}" for module in kernel.modules.values()
                for name, value in vars(module).items()
                if isinstance(value, FunctionType) and value.__code__.co_filename == str(path)]
        assert left == []


def test_kernel_can_be_put_back() -> None:
    kernel = build()
    kernel.link_all()
    image = Image(kernel.statics())
    assert image.slots > 1000
    assert image.restore() == 0
    assert image.differences() == []
