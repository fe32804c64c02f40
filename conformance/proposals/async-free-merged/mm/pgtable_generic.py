# SPDX-License-Identifier: GPL-2.0-only
"""The base is the merged form: there is nothing to change."""
