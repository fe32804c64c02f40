# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's lib/. The headers come first, see :mod:`kmm.mm`."""

from __future__ import annotations

import kmm.include.linux.list
