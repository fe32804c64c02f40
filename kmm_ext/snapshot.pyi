# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Collection, Mapping
from typing import final

__all__ = ["Image", "ImageError"]

class ImageError(TypeError):
    path: str
    kind: type
    def __init__(self, path: str, kind: type) -> None: ...

@final
class Image:
    def __init__(self, namespaces: Mapping[str, tuple[dict[str, object], Collection[str]]],
                 roots: Mapping[str, object] | None = None, *,
                 leaves: tuple[type, ...] = ()) -> None: ...
    @property
    def objects(self) -> int: ...
    @property
    def slots(self) -> int: ...
    def restore(self) -> int: ...
    def differences(self) -> list[str]: ...
