# SPDX-License-Identifier: GPL-2.0-only
"""An image of static data, taken once and put back many times. Declares only."""

from cpython.object cimport PyObject

cdef class Image:
    cdef PyObject ***_slots         # address of each remembered slot
    cdef PyObject **_saved          # what it held; borrowed from _values, NULL if unset
    cdef size_t _nslots
    cdef size_t _capacity
    cdef list _values               # keeps what _saved points at alive
    cdef list _objects              # every object walked, in order; keeps the slots alive
    cdef list _trail                # (index of parent or -1, label), one for each of _objects
    cdef list _slot_names           # (index into _objects, label) for each slot
    cdef list _globals              # (namespace, name, value), flat
    cdef list _lists                # (list, contents as a tuple), flat
    cdef list _dicts                # (dict, keys and values as a flat tuple), flat
    cdef list _others               # (kind, object, contents), flat
    cdef dict _index                # id of an object to its index
    cdef dict _plans                # type to (name, offset) pairs, or None for a leaf
    cdef tuple _leaves

    cdef int _slot(self, object obj, Py_ssize_t offset, Py_ssize_t owner, str label) except -1
    cdef int _push(self, list todo, object value, Py_ssize_t parent, object label) except -1
    cdef int _walk(self, list todo) except -1
    cdef int _visit(self, list todo, object obj, Py_ssize_t at) except -1
    cdef object _plan(self, object kind)
    cdef int _restore_globals(self) except -1
    cdef int _restore_lists(self) except -1
    cdef int _restore_dicts(self) except -1
    cdef int _restore_others(self) except -1
