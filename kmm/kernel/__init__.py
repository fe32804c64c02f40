# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's kernel/.

The headers come first: a header imports the functions that it only declares in its last lines, so
importing a ``.c`` module before its header would close the circle at the wrong end.
"""

from __future__ import annotations

import kmm.include.linux.rcupdate
import kmm.include.linux.smp
import kmm.include.linux.srcu
import kmm.include.linux.workqueue
