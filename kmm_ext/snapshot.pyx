# SPDX-License-Identifier: GPL-2.0-only
"""Static data that can be put back: what re-runs a kernel without linking it again.

:class:`Image` walks the objects that a program's global names lead to, remembers what each of them
holds, and :meth:`Image.restore` puts that back.  It looks at every remembered slot and writes only
those that differ, so its cost is a pointer comparison for what was left alone.

Walked: instances with ``__slots__`` or ``__dict__``, list, dict, set, deque, bytearray, array,
tuple, sortedcontainers, closures and default arguments of functions, bound methods, partials.
Numbers, strings, enumerations, classes and modules have no state here.  Anything else (generator,
iterator, file, greenlet, compiled object) is refused: it could not be put back.
"""

cimport cython
from cpython.dict cimport PyDict_GetItem, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdlib cimport free, realloc

import array
import collections
import enum
import functools
import types

import sortedcontainers

cdef extern from *:
    """
    #include <structmember.h>
    static Py_ssize_t kmm_slot_offset(PyObject *descr)
    {
        PyMemberDef *member = ((PyMemberDescrObject *)descr)->d_member;
        return member->type == T_OBJECT_EX ? member->offset : -1;
    }
    """
    Py_ssize_t kmm_slot_offset(object descr)

__all__ = ["Image", "ImageError"]

cdef enum Kind:
    SET
    DEQUE
    BYTES       # bytearray and array: anything that slice assignment refills
    SORTED      # sortedcontainers, OrderedDict: clear() and update()
    CELL

# Types whose instances hold no state that a program changes.
cdef tuple _LEAVES = (
    int, str, bytes, float, complex, type(None), type(Ellipsis), type(NotImplemented), type, enum.Enum,
    types.ModuleType, types.CodeType, types.GenericAlias, types.UnionType, types.MemberDescriptorType,
    types.GetSetDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType, range, slice,
    property,
)
cdef frozenset _LEAF_HOMES = frozenset({"typing", "typing_extensions", "__future__"})
cdef tuple _SORTED = (sortedcontainers.SortedDict, sortedcontainers.SortedList, sortedcontainers.SortedSet,
                      collections.OrderedDict)
cdef object _EMPTY_CELL = object()


class ImageError(TypeError):
    """Static data leads to an object whose state cannot be remembered.

    :ivar path: how it is reached, e.g. ``kmm.mm.vmalloc.free_list[3].iterator``.
    :ivar kind: its type.
    """

    def __init__(self, path, kind):
        self.path = path
        self.kind = kind
        super().__init__(f"{path} is a {kind.__module__}.{kind.__qualname__}: its state cannot be put back; "
                         "keep structs, lists, dicts and numbers in static data")


cdef object _cell_contents(object cell):
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY_CELL


@cython.final
cdef class Image:
    """What static data holds at this moment.

    :param namespaces: for each name of a module, its globals and those names that are rebound while
        the program runs. The others keep their binding, and only what they are bound to is walked.
    :param roots: more objects to walk, by name.
    :param leaves: more types that have no state, or whose state is somebody else's business.
    :raises ImageError: an object that cannot be put back.
    """

    def __cinit__(self):
        self._slots = NULL
        self._saved = NULL
        self._nslots = 0
        self._capacity = 0

    def __init__(self, namespaces, roots=None, *, leaves=()):
        if self._values is not None:
            raise TypeError("an Image is taken once")
        self._values = []
        self._objects = []
        self._trail = []
        self._slot_names = []
        self._globals = []
        self._lists = []
        self._dicts = []
        self._others = []
        self._index = {}
        self._plans = {}
        self._leaves = _LEAVES + tuple(leaves)
        cdef list todo = []
        for home, (space, rebound) in namespaces.items():
            names = set(rebound)
            for name in sorted(names):
                value = space.get(name, _EMPTY_CELL)
                self._globals += (space, name, value)
                if value is not _EMPTY_CELL:
                    self._push(todo, value, -1, f"{home}.{name}")
            for name, value in space.items():
                if name not in names and not (name.startswith("__") and name.endswith("__")):
                    self._push(todo, value, -1, f"{home}.{name}")
            self._walk(todo)
        for name, value in (roots or {}).items():
            self._push(todo, value, -1, name)
        self._walk(todo)

    def __dealloc__(self):
        free(self._slots)
        free(self._saved)

    @property
    def objects(self):
        """Number of objects walked."""
        return len(self._objects)

    @property
    def slots(self):
        """Number of instance slots remembered."""
        return self._nslots

    # -- taking it

    cdef int _slot(self, object obj, Py_ssize_t offset, Py_ssize_t owner, str label) except -1:
        cdef PyObject **address = <PyObject **>(<char *><PyObject *>obj + offset)
        cdef size_t wanted
        cdef void *grown
        if self._nslots == self._capacity:
            wanted = self._capacity * 2 if self._capacity else 256
            grown = realloc(self._slots, wanted * sizeof(PyObject **))
            if grown == NULL:
                raise MemoryError
            self._slots = <PyObject ***>grown
            grown = realloc(self._saved, wanted * sizeof(PyObject *))
            if grown == NULL:
                raise MemoryError
            self._saved = <PyObject **>grown
            self._capacity = wanted
        self._slots[self._nslots] = address
        self._saved[self._nslots] = address[0]
        self._nslots += 1
        if address[0] != NULL:
            self._values.append(<object>address[0])
        self._slot_names.append((owner, label))
        return 0

    cdef int _push(self, list todo, object value, Py_ssize_t parent, object label) except -1:
        cdef object kind = type(value)
        if value is None or kind is int or kind is str or kind is bool or id(value) in self._index:
            return 0
        if isinstance(value, self._leaves) or kind.__module__ in _LEAF_HOMES:
            return 0
        self._index[id(value)] = len(self._objects)
        self._objects.append(value)
        self._trail.append((parent, label))
        todo.append(len(self._objects) - 1)
        return 0

    cdef int _walk(self, list todo) except -1:
        cdef Py_ssize_t at
        while todo:
            at = todo.pop()
            self._visit(todo, self._objects[at], at)
        return 0

    cdef int _visit(self, list todo, object obj, Py_ssize_t at) except -1:
        cdef object kind = type(obj)
        cdef object plan
        cdef PyObject *held
        if isinstance(obj, _SORTED):
            contents = list(obj.items()) if isinstance(obj, dict) else list(obj)
            self._others += (SORTED, obj, contents)
            for n, item in enumerate(contents):
                self._push(todo, item, at, f"[{n}]")
        elif kind is dict or kind is collections.defaultdict or kind is collections.Counter:
            flat = []
            for key, value in obj.items():
                flat += (key, value)
                self._push(todo, key, at, f".key({key!r})")
                self._push(todo, value, at, f"[{key!r}]")
            self._dicts += (obj, tuple(flat))
        elif kind is list:
            self._lists += (obj, tuple(obj))
            for n, item in enumerate(obj):
                self._push(todo, item, at, f"[{n}]")
        elif isinstance(obj, (tuple, frozenset)):
            for n, item in enumerate(obj):
                self._push(todo, item, at, f"[{n}]")
        elif kind is set:
            self._others += (SET, obj, frozenset(obj))
            for item in obj:
                self._push(todo, item, at, f".member({item!r})")
        elif kind is collections.deque:
            self._others += (DEQUE, obj, tuple(obj))
            for n, item in enumerate(obj):
                self._push(todo, item, at, f"[{n}]")
        elif kind is bytearray:
            self._others += (BYTES, obj, bytes(obj))
        elif kind is array.array:
            self._others += (BYTES, obj, obj[:])
        elif kind is types.FunctionType:
            self._push(todo, obj.__defaults__, at, ".__defaults__")
            self._push(todo, obj.__kwdefaults__, at, ".__kwdefaults__")
            for name, cell in zip(obj.__code__.co_freevars, obj.__closure__ or ()):
                self._push(todo, cell, at, f".<{name}>")
        elif kind is types.CellType:
            contents = _cell_contents(obj)
            self._others += (CELL, obj, contents)
            if contents is not _EMPTY_CELL:
                self._push(todo, contents, at, "")
        elif kind is types.MethodType:
            self._push(todo, obj.__self__, at, ".__self__")
        elif kind is types.BuiltinFunctionType:
            self._push(todo, obj.__self__, at, ".__self__")
        elif kind is functools.partial:
            self._push(todo, obj.func, at, ".func")
            self._push(todo, obj.args, at, ".args")
            self._push(todo, obj.keywords, at, ".keywords")
        else:
            plan = self._plan(kind)
            if plan is None:
                raise ImageError(self._path(at), kind)
            for name, offset in plan:
                held = (<PyObject **>(<char *><PyObject *>obj + <Py_ssize_t>offset))[0]
                self._slot(obj, offset, at, name)
                if held != NULL:
                    self._push(todo, <object>held, at, "." + name)
            if kind.__dictoffset__:
                self._push(todo, obj.__dict__, at, ".__dict__")
        return 0

    cdef object _plan(self, object kind):
        """(name, offset) of each slot of *kind*, or None where it has storage that is no slot."""
        if kind in self._plans:
            return self._plans[kind]
        cdef list plan = []
        cdef Py_ssize_t offset
        for klass in reversed(kind.__mro__):
            for name, descr in vars(klass).items():
                if type(descr) is types.MemberDescriptorType:
                    offset = kmm_slot_offset(descr)
                    if offset < 0:
                        self._plans[kind] = None
                        return None
                    plan.append((name, offset))
        words = len(plan) + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
        fits = kind.__basicsize__ <= object.__basicsize__ + words * sizeof(PyObject *)
        self._plans[kind] = tuple(plan) if fits and not kind.__itemsize__ else None
        return self._plans[kind]

    def _path(self, Py_ssize_t at):
        parts = []
        while at >= 0:
            at, label = self._trail[at]
            parts.append(label)
        return "".join(reversed(parts))

    # -- putting it back

    def restore(self):
        """Put everything back.

        :return: the number of instance slots that differed.
        """
        cdef size_t n
        cdef size_t changed = 0
        cdef PyObject *now
        cdef PyObject *then
        for n in range(self._nslots):
            now = self._slots[n][0]
            then = self._saved[n]
            if now != then:
                Py_XINCREF(then)
                self._slots[n][0] = then
                Py_XDECREF(now)
                changed += 1
        self._restore_globals()
        self._restore_lists()
        self._restore_dicts()
        self._restore_others()
        return changed

    cdef int _restore_globals(self) except -1:
        cdef Py_ssize_t n
        cdef PyObject *now
        for n in range(0, len(self._globals), 3):
            space = <dict>self._globals[n]
            name = self._globals[n + 1]
            value = self._globals[n + 2]
            now = <PyObject *>PyDict_GetItem(space, name)
            if value is _EMPTY_CELL:
                if now != NULL:
                    del space[name]
            elif now != <PyObject *>value:
                space[name] = value
        return 0

    cdef int _restore_lists(self) except -1:
        cdef Py_ssize_t n, i, length
        cdef list live
        cdef tuple saved
        for n in range(0, PyList_GET_SIZE(self._lists), 2):
            live = <list>self._lists[n]
            saved = <tuple>self._lists[n + 1]
            length = PyTuple_GET_SIZE(saved)
            if PyList_GET_SIZE(live) == length:
                for i in range(length):
                    if PyList_GET_ITEM(live, i) != PyTuple_GET_ITEM(saved, i):
                        break
                else:
                    continue
            live[:] = saved
        return 0

    cdef int _restore_dicts(self) except -1:
        cdef Py_ssize_t n, i, place
        cdef PyObject *key
        cdef PyObject *value
        cdef tuple saved
        for n in range(0, PyList_GET_SIZE(self._dicts), 2):
            live = <dict>self._dicts[n]
            saved = <tuple>self._dicts[n + 1]
            if PyDict_Size(live) * 2 == PyTuple_GET_SIZE(saved):
                place = 0
                i = 0
                while PyDict_Next(live, &place, &key, &value):
                    if (key != <PyObject *>PyTuple_GET_ITEM(saved, i)
                            or value != <PyObject *>PyTuple_GET_ITEM(saved, i + 1)):
                        break
                    i += 2
                else:
                    continue
            live.clear()
            for i in range(0, PyTuple_GET_SIZE(saved), 2):
                live[saved[i]] = saved[i + 1]
        return 0

    cdef int _restore_others(self) except -1:
        cdef Py_ssize_t n
        for n in range(0, len(self._others), 3):
            kind = self._others[n]
            obj = self._others[n + 1]
            saved = self._others[n + 2]
            if kind == BYTES:
                if obj != saved:
                    obj[:] = saved
            elif kind == CELL:
                if saved is not _EMPTY_CELL:
                    obj.cell_contents = saved
                elif _cell_contents(obj) is not _EMPTY_CELL:
                    del obj.cell_contents
            elif kind == DEQUE:
                if not _same_items(obj, saved):
                    obj.clear()
                    obj.extend(saved)
            elif kind == SET or not _same_items(obj.items() if isinstance(obj, dict) else obj, saved):
                obj.clear()
                obj.update(saved)
        return 0

    def differences(self):
        """Where static data differs from this image, as paths; to be read by people."""
        cdef size_t n
        found = []
        for n in range(self._nslots):
            if self._slots[n][0] != self._saved[n]:
                owner, label = self._slot_names[n]
                found.append(f"{self._path(owner)}.{label}")
        for n in range(0, len(self._globals), 3):
            if self._globals[n].get(self._globals[n + 1], _EMPTY_CELL) is not self._globals[n + 2]:
                found.append(f"{self._globals[n].get('__name__', '')}.{self._globals[n + 1]}")
        for n in range(0, len(self._lists), 2):
            if not _same_items(self._lists[n], self._lists[n + 1]):
                found.append(self._path(self._index[id(self._lists[n])]))
        for n in range(0, len(self._dicts), 2):
            flat = self._dicts[n + 1]
            if not _same_items(self._dicts[n].items(), list(zip(flat[::2], flat[1::2]))):
                found.append(self._path(self._index[id(self._dicts[n])]))
        for n in range(0, len(self._others), 3):
            kind = self._others[n]
            obj = self._others[n + 1]
            saved = self._others[n + 2]
            if kind == CELL:
                same = _cell_contents(obj) is saved
            elif kind == BYTES or kind == SET:
                same = obj == saved
            else:
                same = _same_items(obj.items() if isinstance(obj, dict) else obj, saved)
            if not same:
                found.append(self._path(self._index[id(obj)]))
        return found


cdef bint _same_items(object live, object saved):
    """Same objects in the same order; pairs of a dict compare by their members."""
    if len(live) != len(saved):
        return False
    for now, then in zip(live, saved):
        if now is not then and not (type(now) is tuple and type(then) is tuple and len(now) == 2 == len(then)
                                    and now[0] is then[0] and now[1] is then[1]):
            return False
    return True
