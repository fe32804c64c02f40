# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/page.h and page_64.h (Linux 7.2).

Addresses are ints. The kernel image mapping is not modelled: only direct-map addresses have a
physical address here. Left out: symbols of the image, canonical helpers of KVM.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE
from kmm.c import ulong

__all__ = [
    "PAGE_MASK", "PAGE_OFFSET", "PAGE_SHIFT", "PAGE_SIZE", "__is_canonical_address", "__pa", "__va",
    "clear_page", "clear_pages", "copy_page", "page_to_pfn", "page_to_phys", "page_to_virt",
    "pfn_to_kaddr", "pfn_to_page", "pfn_valid", "phys_to_page", "virt_addr_valid", "virt_to_page",
    "virt_to_pfn",
]


def __phys_addr(x: int) -> int:
    """Physical address of a direct-map address."""
    return ulong(int(x) - PAGE_OFFSET())


def __pa(x: int) -> int:
    """Physical address of a kernel pointer into the direct map."""
    return __phys_addr(x)


def __va(x: int) -> int:
    """Direct-map address of a physical address."""
    return ulong(int(x) + PAGE_OFFSET())


def clear_pages(addr: int, npages: int) -> None:
    """Zero pages that nobody else can reach yet."""
    hooks.fill(addr, npages * PAGE_SIZE, 0)


def clear_page(addr: int) -> None:
    """Zero one page."""
    clear_pages(addr, 1)


def copy_page(to: int, from_: int) -> None:
    """Copy one page."""
    hooks.copy(to, from_, PAGE_SIZE)


def virt_to_pfn(kaddr: int) -> int:
    """Frame number of a direct-map address."""
    return __pa(kaddr) >> PAGE_SHIFT


def virt_to_page(kaddr: int) -> page:
    """The ``struct page`` of a direct-map address."""
    return pfn_to_page(__pa(kaddr) >> PAGE_SHIFT)


def virt_addr_valid(kaddr: int) -> bool:
    """Whether an address lies in the direct map of existing memory."""
    return kaddr >= PAGE_OFFSET() and pfn_valid(virt_to_pfn(kaddr))


def pfn_to_kaddr(pfn: int) -> int:
    """Direct-map address of a frame."""
    return __va(pfn << PAGE_SHIFT)


def page_to_virt(page: page) -> int:
    """Direct-map address of a page's frame."""
    return __va(page_to_pfn(page) << PAGE_SHIFT)


def page_to_phys(page: page) -> int:
    """Physical address of a page's frame."""
    return page_to_pfn(page) << PAGE_SHIFT


def phys_to_page(phys: int) -> page:
    """The ``struct page`` of a physical address."""
    return pfn_to_page(phys >> PAGE_SHIFT)


def __is_canonical_address(vaddr: int, vaddr_bits: int) -> bool:
    """Whether bits ``vaddr_bits - 1`` to 63 of an address are all equal."""
    top = ulong(vaddr) >> (vaddr_bits - 1)
    return top == 0 or top == (1 << (65 - vaddr_bits)) - 1


# Needed only once something runs, so that headers may include each other:
from kmm.include.asm_generic.memory_model import page_to_pfn, pfn_to_page, pfn_valid
from kmm.include.linux.mm_types import page
