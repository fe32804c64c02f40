# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mm_types.h (Linux 7.2), the part that page tables touch.

``struct page``, ``struct folio`` and ``struct ptdesc`` of one frame are one object seen as three
types, as a cast makes them in C: ``page_ptdesc(p) is p``. Which members share storage is C's layout,
word by word::

    word 0    flags = pt_flags
    word 1-2  lru = pt_list | rcu_head = pt_rcu_head | compound_info | _pt_pad_1, pmd_huge_pte
    word 3    mapping = __page_mapping
    word 4    __folio_index = pt_index | pt_mm | pt_frag_refcount | pt_share_count
    word 5    private = _pt_pad_2 | ptl
    word 6    page_type | _mapcount, _refcount
    word 7    memcg_data

Each word remembers which member wrote it last. Reading another member is reported as a violation
``union-clobber``; storage that nobody wrote yet may be read. ``compound_info`` only tells its bit 0,
which every other member leaves clear, so looking for a tail page is always allowed.

CONFIG symbols: HUGETLB_PMD_PAGE_TABLE_SHARING, SPLIT_PMD_PTLOCKS, TRANSPARENT_HUGEPAGE,
ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH, IOMMU_MM_DATA, MMU_NOTIFIER.
Left out: the page cache, page_pool, zone device, memory cgroups, rmap trees, statistics of an mm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NewType, TypeAlias, cast

from kmm import hooks
from kmm.c import Ptr, struct, uint
from kmm.include.generated.autoconf import CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING
from kmm.include.linux.maple_tree import ma_state, maple_tree, mas_init
from kmm.include.linux.mm_types_task import ALLOC_SPLIT_PTLOCKS
from kmm.include.linux.types import atomic_t, list_head, rcu_head

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgd_ptr
    from kmm.include.linux.iommu import iommu_mm_data
    from kmm.include.linux.mmu_notifier import mmu_notifier_subscriptions

    rcu_head_t = rcu_head


class memdesc_flags_t(struct):
    """``memdesc_flags_t``: the flags word of a memory descriptor."""

    f: int


# --- the unions -----------------------------------------------------------------------------------

def _clobbered(storage: struct_page, member: str, writer: str) -> None:
    hooks.violation("union-clobber", "struct page", pfn=storage._pfn, read=member, last_written=writer)


if TYPE_CHECKING:
    _list_head: TypeAlias = list_head
    _rcu_head: TypeAlias = rcu_head
    _atomic_t: TypeAlias = atomic_t
else:
    # Storage of their own: the names that C code uses are properties.
    _list_head = _rcu_head = _atomic_t = struct


class union_list_head(_list_head):
    """A ``struct list_head`` that shares words 1 and 2 of its page with other members."""

    if not TYPE_CHECKING:
        _next: Ptr[list_head]
        _prev: Ptr[list_head]

        @property
        def next(self):
            storage = self._container
            if storage._word1 != "lru" and storage._word1:
                _clobbered(storage, "lru.next", storage._word1)
            return self._next

        @next.setter
        def next(self, value):
            self._container._word1 = "lru"
            self._next = value

        @property
        def prev(self):
            storage = self._container
            if storage._word2 != "lru" and storage._word2:
                _clobbered(storage, "lru.prev", storage._word2)
            return self._prev

        @prev.setter
        def prev(self, value):
            self._container._word2 = "lru"
            self._prev = value


class union_rcu_head(_rcu_head):
    """A ``struct rcu_head`` that shares words 1 and 2 of its page with other members."""

    if not TYPE_CHECKING:
        _next: Ptr[rcu_head]
        _func: Callable

        @property
        def next(self):
            storage = self._container
            if storage._word1 != "rcu_head" and storage._word1:
                _clobbered(storage, "rcu_head.next", storage._word1)
            return self._next

        @next.setter
        def next(self, value):
            self._container._word1 = "rcu_head"
            self._next = value

        @property
        def func(self):
            storage = self._container
            if storage._word2 != "rcu_head" and storage._word2:
                _clobbered(storage, "rcu_head.func", storage._word2)
            return self._func

        @func.setter
        def func(self, value):
            storage = self._container
            storage._word1 = storage._word2 = "rcu_head"
            self._func = value


class union_share_count(_atomic_t):
    """The ``atomic_t pt_share_count`` (and ``pt_frag_refcount``) in word 4."""

    if not TYPE_CHECKING:
        _counter: int

        @property
        def counter(self):
            storage = self._container
            if storage._word4 != "pt_share_count" and storage._word4:
                _clobbered(storage, "pt_share_count", storage._word4)
            return self._counter

        @counter.setter
        def counter(self, value):
            self._container._word4 = "pt_share_count"
            self._counter = value


class page(struct):
    """``struct page``: what the kernel knows about one frame."""

    if not TYPE_CHECKING:
        __slots__ = ()
    _pfn: int
    flags: memdesc_flags_t
    lru: list_head
    mapping: object | None
    __folio_index: int
    private: int
    compound_info: int
    rcu_head: rcu_head_t
    page_type: int
    _mapcount: atomic_t
    _refcount: atomic_t


page_t = page


class folio(struct):
    """``struct folio``: a page that is not a tail page, speaking for all of its pages.

    ``_flags_1`` is the flags word of the second page; its low byte is the order.
    """

    if not TYPE_CHECKING:
        __slots__ = ()
    flags: memdesc_flags_t
    lru: list_head
    mapping: object | None
    index: int
    private: int
    _mapcount: atomic_t
    _refcount: atomic_t
    page: page_t
    _flags_1: int


class ptdesc(struct):
    """``struct ptdesc``: what the kernel knows about one page table.

    ``ptl`` is the embedded lock; if it does not fit (ALLOC_SPLIT_PTLOCKS) it is a pointer.
    """

    if not TYPE_CHECKING:
        __slots__ = ()
    pt_flags: memdesc_flags_t
    pt_rcu_head: rcu_head
    pt_list: list_head
    _pt_pad_1: int
    pmd_huge_pte: page | None
    __page_mapping: object | None
    pt_index: int
    pt_mm: mm_struct | None
    pt_frag_refcount: atomic_t
    pt_share_count: atomic_t
    _pt_pad_2: int
    ptl: spinlock_t
    __page_type: int
    __page_refcount: atomic_t


class struct_page(page, folio, ptdesc):
    """The storage behind :class:`page`, :class:`folio` and :class:`ptdesc`; never named by Linux code."""

    if not TYPE_CHECKING:
        _pfn: int
        flags: memdesc_flags_t
        _word1: str | None
        _word2: str | None
        _word4: str | None
        _word5: str | None
        _lru: union_list_head
        _rcu_head: union_rcu_head
        _compound_info: int
        _pmd_huge_pte: page | None
        mapping: object | None
        _index: int
        _pt_mm: Ptr[mm_struct]
        _pt_share_count: union_share_count
        _private: int
        _ptl: spinlock_t
        _ptl_pointer: Ptr[spinlock_t]
        _mapcount: atomic_t
        _refcount: atomic_t

        def __repr__(self):
            return f"<page {self._pfn:#x}>"


def struct_page_of(pfn: int) -> page:
    """The storage of frame *pfn*, as memmap_init leaves it: no references, no type."""
    storage = struct_page.zeroed()
    storage._pfn = pfn
    storage._mapcount.counter = -1
    return storage


def _word(index: int, member: str, slot: str) -> Any:
    """A scalar member of a union: writing claims its word, reading checks who did last."""
    word = f"_word{index}"

    def get(self: Any) -> Any:
        writer = getattr(self, word)
        if writer != member and writer:
            _clobbered(self, member, writer)
        return getattr(self, slot)

    def put(self: Any, value: Any) -> None:
        setattr(self, word, member)
        setattr(self, slot, value)

    return property(get, put, doc=f"``{member}``, which shares word {index}.")


def _alias(slot: str) -> Any:
    """Another name of a member that shares nothing."""
    def get(self: Any) -> Any:
        return getattr(self, slot)

    def put(self: Any, value: Any) -> None:
        setattr(self, slot, value)

    return property(get, put, doc=f"The same storage as ``{slot}``.")


def _get_compound_info(self: Any) -> int:
    return self._compound_info if self._word1 == "compound_info" else 0


def _put_compound_info(self: Any, value: int) -> None:
    self._word1 = "compound_info"
    self._compound_info = value


def _get_page_type(self: Any) -> int:
    return uint(self._mapcount.counter)


def _put_page_type(self: Any, value: int) -> None:
    self._mapcount.counter = value - (1 << 32) if value & (1 << 31) else value


def _get_ptl(self: Any) -> Any:
    if self._word5 == "private" and self._private:
        _clobbered(self, "ptl", "private")
    return self._ptl_pointer if ALLOC_SPLIT_PTLOCKS else self._ptl


def _put_ptl(self: Any, value: Any) -> None:
    self._word5 = "ptl"
    self._ptl_pointer = value


def _get_private(self: Any) -> int:
    if self._word5 == "ptl" and self._ptl_pointer is not None:
        _clobbered(self, "private", "ptl")
    return cast(int, self._private)


def _put_private(self: Any, value: int) -> None:
    self._word5 = "private"
    self._private = value
    self._ptl_pointer = None


def _get_flags_1(self: Any) -> int:
    return pfn_to_page(self._pfn + 1).flags.f


def _put_flags_1(self: Any, value: int) -> None:
    pfn_to_page(self._pfn + 1).flags.f = value


for _name, _member in (
    ("lru", property(lambda self: self._lru)),
    ("pt_list", property(lambda self: self._lru)),
    ("rcu_head", property(lambda self: self._rcu_head)),
    ("pt_rcu_head", property(lambda self: self._rcu_head)),
    ("compound_info", property(_get_compound_info, _put_compound_info)),
    ("_pt_pad_1", property(_get_compound_info, _put_compound_info)),
    ("pmd_huge_pte", _word(2, "pmd_huge_pte", "_pmd_huge_pte")),
    ("pt_flags", property(lambda self: self.flags)),
    ("__page_mapping", _alias("mapping")),
    ("__folio_index", _word(4, "__folio_index", "_index")),
    ("index", _word(4, "__folio_index", "_index")),
    ("pt_index", _word(4, "__folio_index", "_index")),
    ("pt_mm", _word(4, "pt_mm", "_pt_mm")),
    ("pt_frag_refcount", property(lambda self: self._pt_share_count)),
    ("pt_share_count", property(lambda self: self._pt_share_count)),
    ("private", property(_get_private, _put_private)),
    ("_pt_pad_2", property(_get_private, _put_private)),
    ("ptl", property(_get_ptl, _put_ptl)),
    ("page_type", property(_get_page_type, _put_page_type)),
    ("__page_type", property(_get_page_type, _put_page_type)),
    ("__page_refcount", property(lambda self: self._refcount)),
    ("page", property(lambda self: self)),
    ("_flags_1", property(_get_flags_1, _put_flags_1)),
):
    setattr(struct_page, _name, _member)


# --- encoded pages --------------------------------------------------------------------------------

class encoded_page:
    """``struct encoded_page *``: a page pointer with two flag bits, or a page count shifted by two."""

    __slots__ = ("bits", "page")

    def __init__(self, page: page_t | None, bits: int) -> None:
        self.page = page
        self.bits = bits


ENCODED_PAGE_BITS = 3

ENCODED_PAGE_BIT_DELAY_RMAP = 1

# The next item of the array is the number of consecutive pages that this one starts.
ENCODED_PAGE_BIT_NR_PAGES_NEXT = 2


def encode_page(page: page, flags: int) -> encoded_page:
    """Put *flags* into the low bits of a page pointer."""
    return encoded_page(page, flags)


def encoded_page_flags(page: encoded_page) -> int:
    """The low bits."""
    return ENCODED_PAGE_BITS & page.bits


def encoded_page_ptr(page: encoded_page) -> page:
    """The page pointer without its low bits."""
    return cast("page_t", page.page)


def encode_nr_pages(nr: int) -> encoded_page:
    """A page count in the place of a page pointer."""
    VM_WARN_ON_ONCE(((nr << 2) & 0xFFFFFFFFFFFFFFFF) >> 2 != nr)
    return encoded_page(None, nr << 2)


def encoded_nr_pages(page: encoded_page) -> int:
    """The page count."""
    return page.bits >> 2


# --- ptdesc ---------------------------------------------------------------------------------------

def ptdesc_page(pt: ptdesc) -> page:
    """The same storage as a ``struct page *``."""
    return cast("page", pt)


def ptdesc_folio(pt: ptdesc) -> folio:
    """The same storage as a ``struct folio *``."""
    return cast("folio", pt)


def page_ptdesc(p: page | None) -> ptdesc:
    """The same storage as a ``struct ptdesc *``; NULL stays NULL."""
    return cast("ptdesc", p)


if CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING:
    def ptdesc_pmd_pts_init(ptdesc: ptdesc) -> None:
        """No other mm shares this PMD table."""
        atomic_set(ptdesc.pt_share_count, 0)

    def ptdesc_pmd_pts_inc(ptdesc: ptdesc) -> None:
        """One more mm shares it."""
        atomic_inc(ptdesc.pt_share_count)

    def ptdesc_pmd_pts_dec(ptdesc: ptdesc) -> None:
        """One mm less shares it."""
        atomic_dec(ptdesc.pt_share_count)

    def ptdesc_pmd_pts_count(ptdesc: ptdesc) -> int:
        """How many other mms share it."""
        return atomic_read(ptdesc.pt_share_count)

    def ptdesc_pmd_is_shared(ptdesc: ptdesc) -> bool:
        """Whether any other mm shares it."""
        return bool(ptdesc_pmd_pts_count(ptdesc))
else:
    def ptdesc_pmd_pts_init(ptdesc: ptdesc) -> None:
        """Nothing to count."""


def page_private(page: page) -> int:
    """``page->private``."""
    return page.private


def set_page_private(page: page, private: int) -> None:
    """Set ``page->private``."""
    page.private = private


vm_flags_t = int


class vm_area_struct(struct):
    """``struct vm_area_struct``: one range of an address space with one kind of mapping."""

    vm_start: int
    vm_end: int
    vm_mm: Ptr[mm_struct]
    vm_page_prot: pgprot_t
    vm_flags: int
    vm_lock_seq: int
    anon_vma: object | None
    vm_ops: object | None
    vm_pgoff: int
    vm_file: object | None
    vm_private_data: object | None
    vm_refcnt: refcount_t


class mm_struct(struct):
    """``struct mm_struct``: an address space. ``pgd`` is None until pgd_alloc()."""

    mm_count: atomic_t
    mm_mt: maple_tree
    mmap_base: int
    task_size: int
    pgd: Ptr[pgd_ptr]
    membarrier_state: atomic_t
    mm_users: atomic_t
    pgtables_bytes: atomic_long_t
    map_count: int
    page_table_lock: spinlock_t
    mmap_lock: rw_semaphore
    mmlist: list_head
    mm_lock_seq: int
    hiwater_rss: int
    total_vm: int
    def_flags: int
    start_code: int
    end_code: int
    start_data: int
    end_data: int
    start_brk: int
    brk: int
    start_stack: int
    context: mm_context_t
    flags: int
    notifier_subscriptions: mmu_notifier_subscriptions | None
    pmd_huge_pte: page | None
    tlb_flush_pending: atomic_t
    tlb_flush_batched: atomic_t
    async_put_work: work_struct
    iommu_mm: iommu_mm_data | None
    cpu_bitmap: cpumask


def mm_init_cpumask(mm: mm_struct) -> None:
    """No CPU has this mm loaded."""
    cpumask_clear(mm.cpu_bitmap)


def mm_cpumask(mm: mm_struct) -> cpumask:
    """The CPUs that may hold translations of this mm."""
    return mm.cpu_bitmap


class vma_iterator(struct):
    """``struct vma_iterator``: a place in an mm's VMAs."""

    mas: ma_state


def VMA_ITERATOR(mm: mm_struct, addr: int) -> vma_iterator:
    """``VMA_ITERATOR(name, mm, addr)``: the iterator instead of its declaration."""
    vmi = vma_iterator.zeroed()
    vma_iter_init(vmi, mm, addr)
    return vmi


def vma_iter_init(vmi: vma_iterator, mm: mm_struct, addr: int) -> None:
    """Start at *addr*."""
    mas_init(vmi.mas, mm.mm_mt, addr)


vm_fault_t = NewType("vm_fault_t", int)

VM_FAULT_OOM = vm_fault_t(0x000001)
VM_FAULT_SIGBUS = vm_fault_t(0x000002)
VM_FAULT_MAJOR = vm_fault_t(0x000004)
VM_FAULT_HWPOISON = vm_fault_t(0x000010)
VM_FAULT_SIGSEGV = vm_fault_t(0x000040)
VM_FAULT_NOPAGE = vm_fault_t(0x000100)
VM_FAULT_LOCKED = vm_fault_t(0x000200)
VM_FAULT_RETRY = vm_fault_t(0x000400)
VM_FAULT_FALLBACK = vm_fault_t(0x000800)
VM_FAULT_COMPLETED = vm_fault_t(0x004000)
VM_FAULT_ERROR = vm_fault_t(0x000001 | 0x000002 | 0x000040 | 0x000010 | 0x000800)

# enum tlb_flush_reason
TLB_FLUSH_ON_TASK_SWITCH = 0
TLB_REMOTE_SHOOTDOWN = 1
TLB_LOCAL_SHOOTDOWN = 2
TLB_LOCAL_MM_SHOOTDOWN = 3
TLB_REMOTE_SEND_IPI = 4
TLB_REMOTE_WRONG_CPU = 5
NR_TLB_FLUSH_REASONS = 6

# enum fault_flag
FAULT_FLAG_WRITE = 1 << 0
FAULT_FLAG_MKWRITE = 1 << 1
FAULT_FLAG_ALLOW_RETRY = 1 << 2
FAULT_FLAG_RETRY_NOWAIT = 1 << 3
FAULT_FLAG_KILLABLE = 1 << 4
FAULT_FLAG_TRIED = 1 << 5
FAULT_FLAG_USER = 1 << 6
FAULT_FLAG_REMOTE = 1 << 7
FAULT_FLAG_INSTRUCTION = 1 << 8
FAULT_FLAG_INTERRUPTIBLE = 1 << 9
FAULT_FLAG_UNSHARE = 1 << 10
FAULT_FLAG_ORIG_PTE_VALID = 1 << 11
FAULT_FLAG_VMA_LOCK = 1 << 12

# Declared in other headers; nothing above runs before they are loaded:
from kmm.arch.x86.include.asm.mmu import mm_context_t
from kmm.arch.x86.include.asm.pgtable_types import pgprot_t
from kmm.include.asm_generic.memory_model import pfn_to_page
from kmm.include.linux.atomic import (
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
)
from kmm.include.linux.cpumask import cpumask, cpumask_clear
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE
from kmm.include.linux.refcount import refcount_t
from kmm.include.linux.rwsem import rw_semaphore
from kmm.include.linux.spinlock import spinlock_t
from kmm.include.linux.types import atomic_long_t
from kmm.include.linux.workqueue import work_struct
