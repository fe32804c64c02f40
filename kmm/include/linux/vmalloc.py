# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/vmalloc.h (Linux 7.2), with arch/x86/include/asm/vmalloc.h.

Reads CONFIG_HAVE_ARCH_HUGE_VMALLOC, CONFIG_HAVE_ARCH_HUGE_VMAP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.cpufeature import X86_FEATURE_GBPAGES, X86_FEATURE_PSE, boot_cpu_has
from kmm.c import struct
from kmm.include.generated.autoconf import CONFIG_HAVE_ARCH_HUGE_VMALLOC, CONFIG_HAVE_ARCH_HUGE_VMAP
from kmm.include.linux.types import gfp_t, list_head
from kmm.include.vdso.page import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgprot_t, pte_ptr
    from kmm.include.linux.mm_types import page

VM_IOREMAP = 0x00000001
VM_ALLOC = 0x00000002
VM_MAP = 0x00000004
VM_USERMAP = 0x00000008
VM_DMA_COHERENT = 0x00000010
VM_UNINITIALIZED = 0x00000020
VM_NO_GUARD = 0x00000040
VM_FLUSH_RESET_PERMS = 0x00000100
VM_MAP_PUT_PAGES = 0x00000200
VM_ALLOW_HUGE_VMAP = 0x00000400
VM_SPARSE = 0x00001000

IOREMAP_MAX_ORDER = 30


class vm_struct(struct):
    """An area of kernel virtual memory, as its user sees it. ``pages`` is ``struct page **``."""

    #: Links areas that are cleaned up later (``llnode``).
    llnode: vm_struct | None
    addr: int
    size: int
    flags: int
    pages: list[page] | None
    if CONFIG_HAVE_ARCH_HUGE_VMALLOC:
        page_order: int
    nr_pages: int
    phys_addr: int
    caller: str | None
    requested_size: int


class vmap_area(struct):
    """An area of kernel virtual memory, as the allocator of addresses sees it."""

    va_start: int
    va_end: int
    list: list_head
    vm: vm_struct | None
    flags: int


if CONFIG_HAVE_ARCH_HUGE_VMAP:
    def arch_vmap_pud_supported(prot: pgprot_t) -> bool:
        """Whether 1 GiB leaves may map kernel memory."""
        return boot_cpu_has(X86_FEATURE_GBPAGES)

    def arch_vmap_pmd_supported(prot: pgprot_t) -> bool:
        """Whether 2 MiB leaves may map kernel memory."""
        return boot_cpu_has(X86_FEATURE_PSE)
else:
    def arch_vmap_pud_supported(prot: pgprot_t) -> bool:
        """No large leaves."""
        return False

    def arch_vmap_pmd_supported(prot: pgprot_t) -> bool:
        """No large leaves."""
        return False


def arch_vmap_p4d_supported(prot: pgprot_t) -> bool:
    """No processor has 512 GiB leaves."""
    return False


def arch_vmap_pte_range_map_size(addr: int, end: int, pfn: int, max_page_shift: int) -> int:
    """What one pte-level entry maps: a page."""
    return PAGE_SIZE


def arch_vmap_pte_range_unmap_size(addr: int, ptep: pte_ptr) -> int:
    """What one pte-level entry maps: a page."""
    return PAGE_SIZE


def arch_vmap_pte_supported_shift(size: int) -> int:
    """The largest size of entries at the pte level: a page."""
    return PAGE_SHIFT


def get_vm_area_size(area: vm_struct) -> int:
    """The size of an area without its guard page."""
    if not (area.flags & VM_NO_GUARD):
        return area.size - PAGE_SIZE
    return area.size


# Declared here, defined there:
from kmm.mm.vmalloc import find_vm_area as find_vm_area
from kmm.mm.vmalloc import free_vm_area as free_vm_area
from kmm.mm.vmalloc import get_vm_area as get_vm_area
from kmm.mm.vmalloc import get_vm_area_caller as get_vm_area_caller
from kmm.mm.vmalloc import ioremap_page_range as ioremap_page_range
from kmm.mm.vmalloc import is_vmalloc_addr as is_vmalloc_addr
from kmm.mm.vmalloc import remove_vm_area as remove_vm_area
from kmm.mm.vmalloc import vfree as vfree
from kmm.mm.vmalloc import vm_unmap_aliases as vm_unmap_aliases
from kmm.mm.vmalloc import vmalloc_huge_node_noprof as vmalloc_huge_node_noprof
from kmm.mm.vmalloc import vmalloc_init as vmalloc_init
from kmm.mm.vmalloc import vmalloc_noprof as vmalloc_noprof
from kmm.mm.vmalloc import vmalloc_to_page as vmalloc_to_page
from kmm.mm.vmalloc import vmalloc_to_pfn as vmalloc_to_pfn
from kmm.mm.vmalloc import vmap as vmap
from kmm.mm.vmalloc import vmap_page_range as vmap_page_range
from kmm.mm.vmalloc import vmap_pages_range as vmap_pages_range
from kmm.mm.vmalloc import vunmap as vunmap
from kmm.mm.vmalloc import vunmap_range as vunmap_range
from kmm.mm.vmalloc import vzalloc_noprof as vzalloc_noprof

vmalloc = vmalloc_noprof
vzalloc = vzalloc_noprof


def vmalloc_huge(size: int, gfp_mask: gfp_t) -> int | None:
    """Memory that may be mapped by large leaves."""
    return vmalloc_huge_node_noprof(size, gfp_mask, -1)
