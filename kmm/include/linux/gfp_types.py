# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/gfp_types.h (Linux 7.2), without KASAN_HW_TAGS and LOCKDEP bits."""

from __future__ import annotations

from kmm.include.linux.types import gfp_t as gfp_t

__GFP_DMA = gfp_t(1 << 0)
__GFP_HIGHMEM = gfp_t(1 << 1)
__GFP_DMA32 = gfp_t(1 << 2)
__GFP_MOVABLE = gfp_t(1 << 3)
__GFP_RECLAIMABLE = gfp_t(1 << 4)
__GFP_HIGH = gfp_t(1 << 5)
__GFP_IO = gfp_t(1 << 6)
__GFP_FS = gfp_t(1 << 7)
__GFP_ZERO = gfp_t(1 << 8)
__GFP_DIRECT_RECLAIM = gfp_t(1 << 10)
__GFP_KSWAPD_RECLAIM = gfp_t(1 << 11)
__GFP_WRITE = gfp_t(1 << 12)
__GFP_NOWARN = gfp_t(1 << 13)
__GFP_RETRY_MAYFAIL = gfp_t(1 << 14)
__GFP_NOFAIL = gfp_t(1 << 15)
__GFP_NORETRY = gfp_t(1 << 16)
__GFP_MEMALLOC = gfp_t(1 << 17)
__GFP_COMP = gfp_t(1 << 18)
__GFP_NOMEMALLOC = gfp_t(1 << 19)
__GFP_HARDWALL = gfp_t(1 << 20)
__GFP_THISNODE = gfp_t(1 << 21)
__GFP_ACCOUNT = gfp_t(1 << 22)
__GFP_ZEROTAGS = gfp_t(1 << 23)
__GFP_NO_OBJ_EXT = gfp_t(1 << 24)
__GFP_SKIP_ZERO = gfp_t(0)
__GFP_SKIP_KASAN = gfp_t(0)
__GFP_NOLOCKDEP = gfp_t(0)

__GFP_RECLAIM = gfp_t(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
GFP_ZONEMASK = gfp_t(__GFP_DMA | __GFP_HIGHMEM | __GFP_DMA32 | __GFP_MOVABLE)

GFP_ATOMIC = gfp_t(__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
GFP_KERNEL = gfp_t(__GFP_RECLAIM | __GFP_IO | __GFP_FS)
GFP_KERNEL_ACCOUNT = gfp_t(GFP_KERNEL | __GFP_ACCOUNT)
GFP_NOWAIT = gfp_t(__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
GFP_NOIO = __GFP_RECLAIM
GFP_NOFS = gfp_t(__GFP_RECLAIM | __GFP_IO)
GFP_USER = gfp_t(__GFP_RECLAIM | __GFP_IO | __GFP_FS | __GFP_HARDWALL)
GFP_DMA = __GFP_DMA
GFP_DMA32 = __GFP_DMA32
GFP_HIGHUSER = gfp_t(GFP_USER | __GFP_HIGHMEM)
GFP_HIGHUSER_MOVABLE = gfp_t(GFP_HIGHUSER | __GFP_MOVABLE | __GFP_SKIP_KASAN)
GFP_TRANSHUGE_LIGHT = gfp_t((GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOMEMALLOC | __GFP_NOWARN)
                            & ~__GFP_RECLAIM)
GFP_TRANSHUGE = gfp_t(GFP_TRANSHUGE_LIGHT | __GFP_DIRECT_RECLAIM)
