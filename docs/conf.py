# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx configuration."""

import sys
from pathlib import Path

# This folder has the directives; the one above has kmm when it is not installed.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

project = "kmm"
author = "the kmm authors"
copyright = "the kmm authors, GPL-2.0-only"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.extlinks", "tables"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "kmm"
html_static_path: list[str] = []
exclude_patterns = ["_build", "newsfragments", "recorded"]
nitpicky = False
LINUX = "v7.2.13"
extlinks = {
    "linux": (f"https://elixir.bootlin.com/linux/{LINUX}/source/%s", "%s"),
    "commit": ("https://git.kernel.org/linus/%s", "%s"),
    "msgid": ("https://lore.kernel.org/all/%s/", "%s"),
}
