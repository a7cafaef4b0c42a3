# Labels -> codes: hashing of fixed-size records and of strings.
#
# Design
# A. A label of a plain array is a record of itemsize bytes, be it int64, float64 or
#    '<U5': one hash table for all. Rejected: np.unique, which sorts (50 to 200 ns a
#    row, and a copy of the labels); this is 2 to 8.
# B. The table stops at `limit` records: there are never more classes than columns, so
#    that labels that are no classes at all are found out early. It grows by doubling:
#    memory goes by the classes found. Rejected: room for `limit` records from the
#    start, 29 bytes a row where nobody knows the number of classes.
# C. Strings become records too: eight bytes of a short one are all of it, those of a
#    longer one a hash, and then the strings are compared; where another one has that
#    hash, the next of a fixed sequence takes its place. Rejected: a dict, which takes
#    15 ns more a row for its own hash, writes that to every string, and compares.
# D. Whole numbers have a window before their table, which holds the numbers of keys
#    next to each other: 1 ns a row for keys without large gaps, however many. It is
#    no larger than what the table takes. Rows that it does not know go to the table,
#    whose memory is asked for some rows ahead.
# E. The GIL is held throughout: other threads cannot resize what is read, and an
#    object stays alive while it is looked up.

cimport cython
cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from fastlogloss._kernels.scalar cimport prefetch

cnp.import_array()

cdef extern from "Python.h":
    # As cpython's own pxd has them, but without the counting of references.
    PyObject* PyList_GET_ITEM(PyObject* values, Py_ssize_t i)
    bint PyFloat_CheckExact(PyObject* item)
    double PyFloat_AS_DOUBLE(PyObject* item)
    bint PyUnicode_CheckExact(PyObject* item)
    const char* PyUnicode_DATA(PyObject* item)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject* item)
    int PyUnicode_KIND(PyObject* item)
    PyTypeObject* Py_TYPE(PyObject* item)

cdef enum:
    FETCH = 32  # strings ahead
    TEXT = 16   # bytes of the record of a string
    ROOM = 64   # records that fit at first
    MOST = 1 << 30  # records that ever fit
    BLOCK = 1024    # rows between two looks at the window
    NEAR = 1 << 12  # records that the nearest cache holds
    STEP = 64       # keys whose slots are asked for at once
    AHEAD = 16      # records, where all are put into slots
    WINDOW = 1 << 17  # keys that a window may span, however few they are
    SPREAD = 8      # keys of the range for each that is there


ctypedef fused code_t:
    int64_t
    uint8_t


cdef inline uint64_t hash_word(uint64_t h) noexcept nogil:
    h ^= h >> 32  # of floats, the lower bits are often zero
    h *= <uint64_t>0x9E3779B97F4A7C15
    return h ^ h >> 32


cdef inline uint64_t hash_record(const char* record, Py_ssize_t size) noexcept nogil:
    cdef uint64_t h = 0, word
    while size >= 8:
        memcpy(&word, record, 8)
        h = hash_word(h ^ word)
        record += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, record, size)
        h = hash_word(h ^ word)
    return h


@cython.final
cdef class RecordTable:
    """Distinct fixed-size records, numbered in the order in which they appear.

    Parameters
    ----------
    itemsize : int
        Bytes of a record.
    limit : int
        Different records allowed; no memory is set aside for them.
    """

    cdef readonly Py_ssize_t itemsize, limit
    cdef readonly Py_ssize_t missing  # number that no record has, or -1
    cdef Py_ssize_t count, room
    cdef Py_ssize_t indexed  # records that have slots, the first ones
    cdef uint64_t mask
    cdef char* records
    cdef int32_t* slots  # number of a record + 1, or 0

    def __cinit__(self, Py_ssize_t itemsize, Py_ssize_t limit):
        if itemsize < 1 or limit < 1:
            raise ValueError(f"no table of {limit} records of {itemsize} bytes")
        self.itemsize = itemsize
        self.limit = min(limit, <Py_ssize_t>MOST)
        self.missing = -1
        self.grow(min(self.limit, <Py_ssize_t>ROOM))

    def __dealloc__(self):
        free(self.records)
        free(self.slots)

    def __len__(self):
        return self.count

    def tobytes(self):
        """The records, one after the other."""
        return PyBytes_FromStringAndSize(self.records, self.count * self.itemsize)

    cdef int grow(self, Py_ssize_t room) except -1:
        # Room for more records, and slots of which no more than a quarter is taken.
        cdef Py_ssize_t capacity = 16
        cdef char* records = <char*>realloc(self.records, room * self.itemsize)
        cdef int32_t* slots
        if records == NULL:
            raise MemoryError()
        self.records = records
        while capacity < 4 * room:
            capacity *= 2
        slots = <int32_t*>calloc(capacity, sizeof(int32_t))
        if slots == NULL:
            raise MemoryError()
        free(self.slots)
        self.slots = slots
        self.mask = capacity - 1
        self.room = room
        self.index(0, self.indexed)
        return 0

    cdef void index(self, Py_ssize_t start, Py_ssize_t stop) noexcept:
        # Slots for some records, in their order.
        cdef Py_ssize_t number, size = self.itemsize
        cdef uint64_t slot
        cdef int32_t* slots = self.slots
        cdef const char* records = self.records
        for number in range(start, stop):
            if number + AHEAD < stop:
                slot = hash_record(records + (number + AHEAD) * size, size)
                prefetch(&slots[slot & self.mask])
            if number == self.missing:
                continue
            slot = hash_record(records + number * size, size) & self.mask
            while slots[slot]:
                slot = (slot + 1) & self.mask
            slots[slot] = <int32_t>(number + 1)

    cdef inline void index_all(self) noexcept:
        self.index(self.indexed, self.count)
        self.indexed = self.count

    cdef inline Py_ssize_t find(
        self,
        const char* record,
        Py_ssize_t size,
        uint64_t* free_slot,    # OUT for a new record, where its number belongs
    ) noexcept:
        # Number of a record, -1 for a new one.
        cdef uint64_t slot = hash_record(record, size) & self.mask
        cdef Py_ssize_t number
        while self.slots[slot]:
            number = self.slots[slot] - 1
            if memcmp(self.records + number * size, record, size) == 0:
                return number
            slot = (slot + 1) & self.mask
        free_slot[0] = slot
        return -1

    cdef Py_ssize_t insert(self, const char* record, uint64_t slot) except -2:
        # Number of a new record; -1 where they are too many.
        cdef Py_ssize_t number, room = self.room
        number = self.append(record)
        if number < 0:
            return -1
        if self.room != room:
            slot = hash_record(record, self.itemsize) & self.mask
            while self.slots[slot]:
                slot = (slot + 1) & self.mask
        self.slots[slot] = <int32_t>(number + 1)
        self.indexed = self.count
        return number

    cdef inline Py_ssize_t append(self, const char* record) except -2:
        # Likewise of one that is known to be new, which gets no slot before index_all.
        cdef Py_ssize_t number = self.count
        if number == self.limit:
            return -1
        if number == self.room:
            self.grow(min(2 * number, self.limit))
        if record == NULL:
            memset(self.records + number * self.itemsize, 0, self.itemsize)
        else:
            memcpy(self.records + number * self.itemsize, record, self.itemsize)
        self.count += 1
        return number

    cdef Py_ssize_t find_missing(self, bint add) except -2:
        # Number of what is missing: a record that is never looked up.
        if self.missing < 0 and add:
            self.missing = self.append(NULL)
            if self.missing < 0:
                raise OverflowError("too many different keys")
            if self.indexed == self.missing:
                self.indexed = self.count
        return self.missing

    def truncate(self, Py_ssize_t count):
        """Forget all records numbered `count` and above."""
        # The last record took a slot that no other one has passed by.
        while self.count > max(count, <Py_ssize_t>0):
            self.count -= 1
            if self.count == self.missing:
                self.missing = -1
            elif self.count < self.indexed:
                self.release(self.count)
        self.indexed = min(self.indexed, self.count)

    cdef void release(self, Py_ssize_t number) noexcept:
        cdef Py_ssize_t size = self.itemsize
        cdef uint64_t slot = hash_record(self.records + number * size, size) & self.mask
        while self.slots[slot] != number + 1:
            slot = (slot + 1) & self.mask
        self.slots[slot] = 0

    cdef inline bint find_all(
        self, const char* records, Py_ssize_t size, Py_ssize_t n, code_t* numbers
    ) except -1:
        cdef Py_ssize_t i, number
        cdef uint64_t slot = 0
        for i in range(n):
            number = self.find(records + i * size, size, &slot)
            if number < 0:
                number = self.insert(records + i * size, slot)
                if number < 0:
                    return False
            if numbers != NULL:
                numbers[i] = <code_t>number
        return True

    cdef bint find_sized(
        self, const char* records, Py_ssize_t n, code_t* numbers
    ) except -1:
        # A constant size lets the compiler inline the copies and the comparisons:
        # numbers, and strings of up to four characters.
        if self.itemsize == 8:
            return self.find_all(records, 8, n, numbers)
        if self.itemsize == 4:
            return self.find_all(records, 4, n, numbers)
        if self.itemsize == 12:
            return self.find_all(records, 12, n, numbers)
        if self.itemsize == 16:
            return self.find_all(records, 16, n, numbers)
        return self.find_all(records, self.itemsize, n, numbers)

    def encode(self, cnp.ndarray values not None, cnp.ndarray out=None):
        """Number the records of `values`; False once there are more than fit.

        Parameters
        ----------
        values : ndarray of shape (n,)
            C-contiguous, of the table's itemsize.
        out : ndarray of int64 or, for a limit below 256, uint8, shape (n,), optional
            Receives the numbers.
        """
        cdef Py_ssize_t n = values.size
        cdef const char* records = cnp.PyArray_BYTES(values)
        if not values.flags.c_contiguous or values.itemsize != self.itemsize:
            raise ValueError("values must be contiguous records of the table's size")
        if out is None:
            return self.find_sized(records, n, <int64_t*>NULL)
        if _is_plain(out, n, cnp.NPY_INT64):
            return self.find_sized(records, n, <int64_t*>cnp.PyArray_DATA(out))
        if _is_plain(out, n, cnp.NPY_UINT8) and self.limit < 256:
            return self.find_sized(records, n, <uint8_t*>cnp.PyArray_DATA(out))
        raise ValueError("out must be contiguous int64 or uint8 of the size of values")


cdef bint _is_plain(cnp.ndarray a, Py_ssize_t n, int type_number, bint written=True):
    return (
        cnp.PyArray_TYPE(a) == type_number
        and cnp.PyArray_IS_C_CONTIGUOUS(a)
        and cnp.PyArray_ISBEHAVED_RO(a)
        and cnp.PyArray_SIZE(a) == n
        and (cnp.PyArray_ISWRITEABLE(a) or not written)
    )


def recode(cnp.ndarray numbers not None, cnp.ndarray code_of_number not None):
    """Replace each number by its code, in place.

    Parameters
    ----------
    numbers : ndarray of int64 or uint8, shape (n,)
        C-contiguous, writeable.
    code_of_number : ndarray of int64, shape (n_numbers,)
        Numbers outside its range (another thread's doing) become -1 or 255.
    """
    cdef Py_ssize_t n = numbers.size, n_numbers = code_of_number.size
    if not _is_plain(code_of_number, n_numbers, cnp.NPY_INT64, False):
        raise ValueError("code_of_number must be contiguous int64")
    cdef const int64_t* codes = <const int64_t*>cnp.PyArray_DATA(code_of_number)
    if _is_plain(numbers, n, cnp.NPY_INT64):
        _recode(<int64_t*>cnp.PyArray_DATA(numbers), n, codes, n_numbers)
    elif _is_plain(numbers, n, cnp.NPY_UINT8):
        _recode(<uint8_t*>cnp.PyArray_DATA(numbers), n, codes, n_numbers)
    else:
        raise ValueError("numbers must be contiguous int64 or uint8")


cdef void _recode(
    code_t* numbers, Py_ssize_t n, const int64_t* codes, Py_ssize_t n_numbers
) noexcept:
    cdef Py_ssize_t i
    for i in range(n):
        if 0 <= <Py_ssize_t>numbers[i] < n_numbers:
            numbers[i] = <code_t>codes[numbers[i]]
        else:
            numbers[i] = <code_t>(-1)


def encode_strings(
    cnp.ndarray values not None, Py_ssize_t limit, cnp.ndarray out not None, type also
):
    """Number the strings of an object array in the order in which they appear.

    Parameters
    ----------
    values : ndarray of object, shape (n,)
        C-contiguous.
    limit : int
        Different strings allowed.
    out : ndarray of int64 or, for a limit below 256, uint8, shape (n,)
        Receives the numbers.
    also : type
        A subclass of str (np.str_) that counts as one.

    Returns
    -------
    list of str or None
        The different strings; None where something is not a string or there are too
        many of them.
    """
    cdef Py_ssize_t n = values.size
    if not _is_plain(values, n, cnp.NPY_OBJECT, False):
        raise ValueError("values must be contiguous objects")
    cdef PyObject** items = <PyObject**>cnp.PyArray_DATA(values)
    cdef RecordTable table = RecordTable(TEXT, limit)
    cdef list known = []
    cdef bint done
    if _is_plain(out, n, cnp.NPY_INT64):
        done = _number(
            items, n, table, <int64_t*>cnp.PyArray_DATA(out), known, also, False, True
        )
    elif _is_plain(out, n, cnp.NPY_UINT8) and limit < 256:
        done = _number(
            items, n, table, <uint8_t*>cnp.PyArray_DATA(out), known, also, False, True
        )
    else:
        raise ValueError("out must be contiguous int64 or uint8 of the size of values")
    return [str(item) for item in known] if done else None


cdef bint _number(
    PyObject** items,
    Py_ssize_t n,
    RecordTable table,
    code_t* numbers,        # OUT (n,)
    list known,             # OUT the different ones
    type also,
    bint missing,           # what is no string is missing, and has a number of its own
    bint add,               # else the number of a new string is -1
) except -1:
    # Counting references would write to every string; nothing here runs other code
    # that could release one.
    cdef Py_ssize_t i, number, size
    cdef uint64_t record[2]
    cdef uint64_t slot = 0
    cdef PyObject* item
    cdef const char* text
    for i in range(n):
        if i + FETCH < n:  # a string may lie across two lines of the cache
            prefetch(items[i + FETCH])
            prefetch(<char*>items[i + FETCH] + 40)
        item = items[i]
        if item == NULL or not (
            PyUnicode_CheckExact(item) or Py_TYPE(item) == <PyTypeObject*>also
        ):
            if not missing:
                return False
            number = table.find_missing(add)
            if number == len(known):
                known.append(None)
            numbers[i] = <code_t>number
            continue
        text = PyUnicode_DATA(item)
        size = PyUnicode_GET_LENGTH(item) * PyUnicode_KIND(item)
        if text == NULL:  # made by a function that Python has given up
            return False
        record[0] = short_text(text, size) if size <= 8 else hash_record(text, size)
        record[1] = <uint64_t>size << 3 | <uint64_t>PyUnicode_KIND(item)
        while True:
            number = table.find(<const char*>record, TEXT, &slot)
            if number < 0:
                if not add:
                    break
                number = table.insert(<const char*>record, slot)
                if number < 0:
                    return False
                known.append(<object>item)
                break
            if size <= 8 or memcmp(
                text, PyUnicode_DATA(PyList_GET_ITEM(<PyObject*>known, number)), size
            ) == 0:
                break
            record[0] = record[0] * <uint64_t>0x9E3779B97F4A7C15 + 1
        numbers[i] = <code_t>number
    return True


def kinds(cnp.ndarray values not None, bint nan_is_none=False):
    """The types of the objects of a contiguous array.

    Parameters
    ----------
    values : ndarray of object
    nan_is_none : bool
        Whether a NaN counts as None.
    """
    cdef Py_ssize_t n = values.size, i
    if not _is_plain(values, n, cnp.NPY_OBJECT, False):
        raise ValueError("values must be contiguous objects")
    cdef PyObject** items = <PyObject**>cnp.PyArray_DATA(values)
    cdef PyTypeObject* last = NULL
    cdef set found = set()
    cdef bint is_nan
    for i in range(n):
        if items[i] == NULL:  # to numpy, that is None
            found.add(type(None))
        elif nan_is_none and PyFloat_CheckExact(items[i]):
            is_nan = PyFloat_AS_DOUBLE(items[i]) != PyFloat_AS_DOUBLE(items[i])
            found.add(type(None) if is_nan else float)
        elif Py_TYPE(items[i]) != last:
            last = Py_TYPE(items[i])
            found.add(<object>last)
    return found


cdef inline uint64_t short_text(const char* text, Py_ssize_t size) noexcept nogil:
    # Different for different texts of one size, up to 8 bytes.
    cdef uint32_t first, last
    cdef uint16_t head, tail
    if size >= 4:
        memcpy(&first, text, 4)
        memcpy(&last, text + size - 4, 4)
        return first | <uint64_t>last << 32
    if size >= 2:
        memcpy(&head, text, 2)
        memcpy(&tail, text + size - 2, 2)
        return head | <uint64_t>tail << 16
    return <uint8_t>text[0] if size else 0


include "keys.pxi"
