# SPDX-License-Identifier: GPL-2.0-only
"""What C gives the kernel and Python does not: structs, pointers, unsigned wrap.

Linux modules are written on top of this module and of :mod:`kmm.hooks`, and of nothing else.
Nothing here knows about page tables, Linux or the machine; it is the language, not the program.

* :class:`struct` makes a slotted class out of annotations, in C field order.  ``zeroed()`` is
  ``kzalloc`` or static storage; a bare constructor is the stack, where a field that was never
  written cannot be read.
* An annotation says how a field is stored, as in C: ``list: list_head`` is embedded,
  ``next: Ptr[list_head]`` and ``next: list_head | None`` are pointers, ``nr: int`` is a number.
* :func:`container_of` goes from an embedded struct to the struct around it.
* :class:`entry_ptr` is a pointer to 64-bit entries in simulated memory: ``p + 1`` moves by one
  entry, ``p[0]`` is the plain load ``*p`` and ``p[0] = v`` the plain store.
* :func:`ulong` and friends wrap, because C does (``end - 1 > ceiling - 1`` with ceiling 0).
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from kmm import hooks

T = TypeVar("T")

if TYPE_CHECKING:
    from typing import Annotated

    #: A pointer that the C code never lets be NULL where it is used; zeroed storage holds None.
    Ptr = Annotated[T, "pointer"]
else:
    class Ptr:
        """A pointer: ``Ptr[T]`` says that the field is stored as a reference, not embedded."""

        def __class_getitem__(cls, item: object) -> type[Ptr]:
            return cls

__all__ = [
    "BITS_PER_LONG", "INT_MAX", "UINT_MAX", "ULONG_MAX", "Ptr", "cell", "container_of", "entry_ptr",
    "struct", "u8", "u16", "u32", "u64", "uint", "ulong",
]

BITS_PER_LONG = 64
ULONG_MAX = (1 << 64) - 1
UINT_MAX = (1 << 32) - 1
INT_MAX = (1 << 31) - 1


def ulong(value: int) -> int:
    """Wrap to ``unsigned long`` (64 bits)."""
    return value & 0xFFFF_FFFF_FFFF_FFFF


u64 = ulong


def uint(value: int) -> int:
    """Wrap to ``unsigned int`` (32 bits)."""
    return value & 0xFFFF_FFFF


u32 = uint


def u16(value: int) -> int:
    """Wrap to ``u16``."""
    return value & 0xFFFF


def u8(value: int) -> int:
    """Wrap to ``u8``."""
    return value & 0xFF


class _struct_type(type):
    """Metaclass of :class:`struct`: annotations become slots, in order."""

    def __new__(mcls, name: str, bases: tuple[type, ...], ns: dict[str, Any]) -> _struct_type:
        if "__slots__" not in ns:
            ns["__slots__"] = tuple(
                field for field, kind in ns.get("__annotations__", {}).items()
                if not str(kind).startswith("ClassVar") and field not in ns)
        ns["__namespace__"] = sys._getframe(1).f_globals
        return super().__new__(mcls, name, bases, ns)


class struct(metaclass=_struct_type):
    """A C struct: slots in field order, equality by identity, no dictionary.

    Two slots are kmm's own.  ``_container`` is the struct this one is embedded in (or None) and
    serves :func:`container_of`; ``_loc`` is the machine's name for this object, 0 until it is
    first touched.
    """

    __slots__ = ("_container", "_loc")
    _container: struct | None
    _loc: int
    _plan: ClassVar[_Plan | None] = None

    def __init__(self) -> None:
        self._container = None
        self._loc = 0

    @classmethod
    def zeroed(cls) -> Self:
        """Storage filled with zeroes: numbers 0, pointers None, embedded structs zeroed too.

        :raises TypeError: an annotation names an embedded type that its module does not import.
        """
        self = cls()
        plan = cls.__dict__.get("_plan")
        if plan is None:
            plan = cls._plan = _zero_plan(cls)
        values, embedded = plan
        for field, value in values:
            setattr(self, field, value)
        for field, kind in embedded:
            inner = kind.zeroed()
            inner._container = self
            setattr(self, field, inner)
        return self

    def embed(self, field: str, inner: struct) -> None:
        """Store *inner* as the embedded struct *field* of this one (stack storage)."""
        inner._container = self
        setattr(self, field, inner)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


#: What zeroed storage holds: numbers and None by field, and the types of embedded structs by field.
_Plan = tuple[tuple[tuple[str, Any], ...], tuple[tuple[str, type[struct]], ...]]


def _zero_plan(cls: type[struct]) -> _Plan:
    values: list[tuple[str, Any]] = []
    embedded: list[tuple[str, type[struct]]] = []
    for klass in reversed(cls.__mro__):
        if klass is struct or klass is object:
            continue
        namespace = klass.__dict__["__namespace__"]
        for field, kind in inspect.get_annotations(klass).items():
            if field in klass.__dict__.get("__slots__", ()):
                zero = _zero_of(str(kind), namespace, klass, field)
                (embedded if isinstance(zero, _struct_type) else values).append((field, zero))
    return tuple(values), tuple(embedded)


def _zero_of(kind: str, namespace: dict[str, Any], klass: type, field: str) -> Any:
    if kind.startswith(("Ptr[", "Callable", "None")) or kind.endswith("| None"):
        return None
    if kind == "bool":
        return False
    head = kind.split("[", 1)[0]
    if head == "int":
        return 0
    made = namespace.get(head)
    if made is None:
        raise TypeError(f"{klass.__name__}.{field}: {head!r} is not imported where the struct is defined; "
                        "an embedded struct needs its complete type, a pointer is written Ptr[...]")
    if isinstance(made, _struct_type):
        return made
    supertype = getattr(made, "__supertype__", made)
    if isinstance(supertype, type) and issubclass(supertype, int):
        return False if supertype is bool else 0
    raise TypeError(f"{klass.__name__}.{field}: no zero value for {kind!r}")


S = TypeVar("S", bound=struct)


def container_of(member: struct, kind: type[S], field: str) -> S:
    """The struct of type *kind* whose embedded *field* is *member*.

    :raises TypeError: *member* is not that field of such a struct (in C, silent corruption).
    """
    outer = member._container
    if not isinstance(outer, kind) or getattr(outer, field) is not member:
        raise TypeError(f"container_of: {member!r} is not .{field} of a {kind.__name__}")
    return outer


class cell(Generic[T]):
    """A variable on the C stack whose address is taken: ``&pmdval`` is ``cell(pmdval)``.

    Reading and writing ``[0]`` touches no simulated memory and is no event.
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __getitem__(self, n: int) -> T:
        return self.value

    def __setitem__(self, n: int, value: T) -> None:
        self.value = value


class entry_ptr(int):
    """A kernel virtual address in the direct map that points at 64-bit page-table entries.

    The integer value is the address, in bytes; arithmetic counts entries, as for any C pointer.
    Subclasses, one per level (``pte_ptr``, ``pmd_ptr``...), make levels distinct to type checkers.
    """

    __slots__ = ()

    def __add__(self, n: int) -> Self:
        return type(self)(int(self) + 8 * n)

    def __sub__(self, n: int) -> Self:
        return type(self)(int(self) - 8 * n)

    def index_from(self, base: entry_ptr) -> int:
        """Pointer difference ``self - base`` in entries."""
        return (int(self) - int(base)) // 8

    def __getitem__(self, n: int) -> Any:
        return hooks.load(int(self) + 8 * n, 8)

    def __setitem__(self, n: int, value: int) -> None:
        hooks.store(int(self) + 8 * n, 8, value)

    def __repr__(self) -> str:
        return f"({type(self).__name__}){int(self):#x}"
