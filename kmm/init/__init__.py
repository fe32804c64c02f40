# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's init/. The headers come first, see :mod:`kmm.kernel`."""

from __future__ import annotations

import kmm.include.linux.mm
