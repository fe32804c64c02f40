# SPDX-License-Identifier: GPL-2.0-only
"""Stub of include/generated/autoconf.h: the default x86-64 configuration.

Plain imports, type checkers and the documentation see these values. A kernel that is built gets a
module of the same name generated from its own ``.config``.
"""

from __future__ import annotations

CONFIG_ARCH_HAS_NONLEAF_PMD_YOUNG: bool = True
CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH: bool = True
CONFIG_ASYNC_KERNEL_PGTABLE_FREE: bool = True
CONFIG_DEBUG_LIST: bool = True
CONFIG_DEBUG_LOCK_ALLOC: bool = False
CONFIG_DEBUG_MUTEXES: bool = True
CONFIG_DEBUG_SPINLOCK: bool = False
CONFIG_DEBUG_VM: bool = True
CONFIG_GUP_GET_PXX_LOW_HIGH: bool = False
CONFIG_HAVE_ARCH_HUGE_VMAP: bool = True
CONFIG_HAVE_ARCH_SOFT_DIRTY: bool = True
CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE: bool = False
CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD: bool = True
CONFIG_HAVE_ARCH_USERFAULTFD_WP: bool = True
CONFIG_HUGETLB_PAGE: bool = True
CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING: bool = True
CONFIG_INIT_ON_FREE_DEFAULT_ON: bool = False
CONFIG_IOMMU_MM_DATA: bool = True
CONFIG_MEM_SOFT_DIRTY: bool = True
CONFIG_MITIGATION_PAGE_TABLE_ISOLATION: bool = True
CONFIG_MMU_GATHER_MERGE_VMAS: bool = True
CONFIG_MMU_GATHER_NO_FLUSH_CACHE: bool = False
CONFIG_MMU_GATHER_NO_GATHER: bool = False
CONFIG_MMU_GATHER_NO_RANGE: bool = False
CONFIG_MMU_GATHER_PAGE_SIZE: bool = False
CONFIG_MMU_GATHER_RCU_TABLE_FREE: bool = True
CONFIG_MMU_GATHER_TABLE_FREE: bool = True
CONFIG_MMU_NOTIFIER: bool = True
CONFIG_NR_CPUS: int = 8
CONFIG_NUMA_BALANCING: bool = False
CONFIG_PAGE_POISONING: bool = False
CONFIG_PGTABLE_LEVELS: int = 5
CONFIG_PREEMPT_RCU: bool = True
CONFIG_PREEMPT_RT: bool = False
CONFIG_PT_RECLAIM: bool = True
CONFIG_SMP: bool = True
CONFIG_SPLIT_PMD_PTLOCKS: bool = True
CONFIG_SPLIT_PTE_PTLOCKS: bool = True
CONFIG_TRANSPARENT_HUGEPAGE: bool = True
CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS: bool = True
