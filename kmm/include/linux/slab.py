# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/slab.h.

C allocates bytes; here the caller names the type: ``kzalloc(sizeof(*p), GFP_KERNEL)`` and
``kzalloc_obj(*p)`` are both ``kzalloc_obj(kind)``. Arrays are lists of structs.
"""

from __future__ import annotations

SLAB_HWCACHE_ALIGN = 1 << 13
SLAB_PANIC = 1 << 18
SLAB_TYPESAFE_BY_RCU = 1 << 19
SLAB_ACCOUNT = 1 << 26

# Declared here, defined in mm/slub.c:
from kmm.mm.slab import kfree as kfree
from kmm.mm.slab import kmalloc as kmalloc
from kmm.mm.slab import kmalloc_obj as kmalloc_obj
from kmm.mm.slab import kmem_cache as kmem_cache
from kmm.mm.slab import kmem_cache_alloc as kmem_cache_alloc
from kmm.mm.slab import kmem_cache_create as kmem_cache_create
from kmm.mm.slab import kmem_cache_destroy as kmem_cache_destroy
from kmm.mm.slab import kmem_cache_free as kmem_cache_free
from kmm.mm.slab import kmem_cache_zalloc as kmem_cache_zalloc
from kmm.mm.slab import kvfree as kvfree
from kmm.mm.slab import kzalloc as kzalloc
from kmm.mm.slab import kzalloc_node as kzalloc_node
from kmm.mm.slab import kzalloc_obj as kzalloc_obj
from kmm.mm.slab import kzalloc_objs as kzalloc_objs
