# SPDX-License-Identifier: GPL-2.0-only
from typing import final

__all__ = ["Tree"]

@final
class Tree: ...
