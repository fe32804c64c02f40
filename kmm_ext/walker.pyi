# SPDX-License-Identifier: GPL-2.0-only
# Nothing here is reachable from Python; walker.pxd is the interface.
