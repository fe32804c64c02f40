# SPDX-License-Identifier: GPL-2.0-only
# Nothing here is reachable from Python; caches.pxd is the interface.
