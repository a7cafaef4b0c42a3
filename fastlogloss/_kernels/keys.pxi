# Hash tables of group keys: whole numbers and strings (designs A, C, D of _labels).

@cython.final
cdef class IntTable:
    """Different whole numbers and what is missing, numbered as they appear."""

    cdef RecordTable table
    cdef int32_t* window  # number of the key base + i, + 1; or 0
    cdef cnp.ndarray window_array  # whose memory it is; never another's
    cdef uint64_t base, span
    cdef readonly int64_t low, high  # of all keys; low > high where there are none
    cdef Py_ssize_t fitted  # keys when the window was last looked at

    def __cinit__(self):
        self.table = RecordTable(8, MOST)
        self.low = 1

    def __len__(self):
        return self.table.count

    @property
    def missing(self):
        """Number of what is missing, or -1."""
        return self.table.missing

    def numbers(self):
        """Numbers + 1 of a range that has all keys, or 0; and its first. Or None."""
        if self.low > self.high or not self.is_spanned():
            return None
        return self.window_array, <int64_t>self.base

    def tobytes(self):
        """The numbers, one after the other; 0 for what is missing."""
        return self.table.tobytes()

    def truncate(self, Py_ssize_t count):
        """Forget all keys numbered `count` and above."""
        cdef Py_ssize_t i
        cdef uint64_t offset
        cdef const int64_t* keys = <const int64_t*>self.table.records
        for i in range(max(count, <Py_ssize_t>0), self.table.count):
            offset = <uint64_t>keys[i] - self.base
            if offset < self.span and self.window[offset] == i + 1:
                self.window[offset] = 0
        self.table.truncate(count)
        self.fitted = min(self.fitted, self.table.count)
        self.low, self.high = 1, 0
        for i in range(self.table.count):
            if i != self.table.missing:
                self.reach(keys[i])

    def number(
        self,
        cnp.ndarray values not None,
        cnp.ndarray out not None,
        cnp.ndarray missing=None,
        bint add=True,
    ):
        """Number some keys.

        Parameters
        ----------
        values : ndarray of int64, shape (n,)
            C-contiguous.
        out : ndarray of int64, shape (n,)
            Receives the numbers; not that of `values`.
        missing : ndarray of bool, shape (n,), optional
            Where there is no key.
        add : bool
            Whether new keys get a number. If not, theirs is -1.
        """
        cdef Py_ssize_t n = values.size, start, size
        if not _is_plain(values, n, cnp.NPY_INT64, False):
            raise ValueError("values must be contiguous int64")
        if not _is_plain(out, n, cnp.NPY_INT64):
            raise ValueError("out must be contiguous int64 of the size of values")
        if missing is not None and not _is_plain(missing, n, cnp.NPY_BOOL, False):
            raise ValueError("missing must be contiguous bool of the size of values")
        cdef const int64_t* keys = <const int64_t*>cnp.PyArray_DATA(values)
        cdef int64_t* numbers = <int64_t*>cnp.PyArray_DATA(out)
        cdef const uint8_t* mask = NULL
        if missing is not None:
            mask = <const uint8_t*>cnp.PyArray_DATA(missing)
        for start in range(0, n, BLOCK):
            size = min(<Py_ssize_t>BLOCK, n - start)
            if mask == NULL:
                self.number_block(keys + start, mask, size, numbers + start, add)
            else:
                self.number_block(
                    keys + start, mask + start, size, numbers + start, add
                )
            if self.table.count != self.fitted:
                self.fit()

    cdef int number_block(
        self,
        const int64_t* keys,
        const uint8_t* mask,    # or NULL
        Py_ssize_t n,
        int64_t* numbers,       # OUT (n,)
        bint add,
    ) except -1:
        cdef uint16_t left[BLOCK]
        cdef Py_ssize_t n_left = 0, i, j
        cdef uint64_t offset, base = self.base, span = self.span
        cdef const int32_t* window = self.window
        cdef int64_t number, all_found = 0
        cdef bint outside = False
        if mask == NULL and span:
            for i in range(n):
                offset = <uint64_t>keys[i] - base
                number = (window[offset] if offset < span else 0) - 1
                numbers[i] = number
                all_found |= number
            if all_found >= 0:
                return 0
            for i in range(n):
                left[n_left] = <uint16_t>i
                if numbers[i] < 0:
                    n_left += 1
                    outside = outside or <uint64_t>keys[i] - base >= span
            if not outside:
                for j in range(n_left):
                    self.look_inside(keys[left[j]], &numbers[left[j]], add)
                return 0
        else:
            for i in range(n):
                left[i] = <uint16_t>i
            n_left = n
        self.table.index_all()
        for j in range(0, n_left, STEP):
            self.look_up(
                keys, mask, left + j, min(n_left - j, <Py_ssize_t>STEP), numbers, add
            )
        return 0

    cdef inline int look_inside(
        self, int64_t key, int64_t* number, bint add
    ) except -1:
        # What the window does not know is new: no need of the table's slots.
        cdef uint64_t offset = <uint64_t>key - self.base
        if self.window[offset] == 0 and add:
            number[0] = self.table.append(<const char*>&key)
            if number[0] < 0:
                raise OverflowError("too many different keys")
            self.window[offset] = <int32_t>(number[0] + 1)
            self.reach(key)
        number[0] = self.window[offset] - 1
        return 0

    cdef int look_up(
        self,
        const int64_t* keys,
        const uint8_t* mask,    # or NULL
        uint16_t* rows,         # of the keys; overwritten
        Py_ssize_t n,           # up to STEP
        int64_t* numbers,       # OUT at these rows
        bint add,
    ) except -1:
        cdef RecordTable table = self.table
        cdef const int32_t* slots = table.slots
        cdef const int64_t* known = <const int64_t*>table.records
        cdef uint32_t slot_of[STEP]
        cdef Py_ssize_t n_left = 0, i, j, number
        cdef uint64_t offset, slot = 0, slot_mask = table.mask
        cdef bint is_other
        for j in range(n):
            slot = hash_word(<uint64_t>keys[rows[j]]) & slot_mask
            slot_of[j] = <uint32_t>slot
            prefetch(&slots[slot])
        if table.count > NEAR:
            for j in range(n):
                number = slots[slot_of[j]]
                prefetch(&known[number - (number > 0)])
        for j in range(n):
            i = rows[j]
            number = slots[slot_of[j]] - 1
            numbers[i] = number
            rows[n_left] = <uint16_t>i
            # All that is new or in another slot, in its order.
            is_other = number < 0 or known[number] != keys[i]
            if mask != NULL and mask[i]:
                is_other = True
            n_left += is_other
        for j in range(n_left):
            i = rows[j]
            if mask != NULL and mask[i]:
                numbers[i] = table.find_missing(add)
                continue
            number = table.find(<const char*>&keys[i], 8, &slot)
            if number < 0 and add:
                number = table.insert(<const char*>&keys[i], slot)
                if number < 0:
                    raise OverflowError("too many different keys")
                offset = <uint64_t>keys[i] - self.base
                if offset < self.span:
                    self.window[offset] = <int32_t>(number + 1)
                self.reach(keys[i])
            numbers[i] = number
        return 0

    cdef inline void reach(self, int64_t key) noexcept:
        if self.low > self.high:
            self.low = self.high = key
        self.low = min(self.low, key)
        self.high = max(self.high, key)

    cdef inline bint is_spanned(self) noexcept:
        # Whether the window has the lowest and the highest key.
        return <uint64_t>self.high - self.base < self.span and (
            <uint64_t>self.low - self.base < self.span
        )

    cdef int fit(self) except -1:
        # Let the window span all keys, if that takes no more than they do.
        cdef uint64_t range_ = <uint64_t>self.high - <uint64_t>self.low
        cdef uint64_t most = max(<uint64_t>WINDOW, <uint64_t>SPREAD * self.table.count)
        cdef uint64_t base = <uint64_t>self.low, span, offset
        cdef cnp.npy_intp size
        cdef int32_t* window
        cdef Py_ssize_t i
        cdef const int64_t* keys = <const int64_t*>self.table.records
        self.fitted = self.table.count
        if self.low > self.high or range_ >= most:
            return 0
        if self.is_spanned():
            return 0
        # Keys that go on growing, as days do, shall not need a new one every time.
        span = min(most, max(2 * (range_ + 1), <uint64_t>BLOCK))
        if self.span and <uint64_t>self.high - self.base < self.span:
            base = <uint64_t>self.high - span + 1
        size = <cnp.npy_intp>span
        # A new one: kernels may be reading the last.
        try:
            self.window_array = cnp.PyArray_ZEROS(1, &size, cnp.NPY_INT32, 0)
        except MemoryError:
            return 0  # the table knows all
        window = <int32_t*>cnp.PyArray_DATA(self.window_array)
        self.window = window
        self.base = base
        self.span = span
        for i in range(self.table.count):
            offset = <uint64_t>keys[i] - base
            if offset < span and i != self.table.missing:
                window[offset] = <int32_t>(i + 1)
        return 0


@cython.final
cdef class StringTable:
    """Different strings and what is missing, numbered as they appear.

    Parameters
    ----------
    also : type
        A subclass of str (np.str_) that counts as one.
    """

    cdef RecordTable table
    cdef list known
    cdef type also

    def __cinit__(self, type also):
        self.table = RecordTable(TEXT, MOST)
        self.known = []
        self.also = also

    def __len__(self):
        return self.table.count

    @property
    def missing(self):
        """Number of what is missing, or -1."""
        return self.table.missing

    def tolist(self):
        """The strings; None for what is missing."""
        return [None if item is None else str(item) for item in self.known]

    def truncate(self, Py_ssize_t count):
        """Forget all strings numbered `count` and above."""
        self.table.truncate(count)
        del self.known[self.table.count:]

    def number(
        self, cnp.ndarray values not None, cnp.ndarray out not None, bint add=True
    ):
        """Number some objects; what is no string is missing.

        Parameters
        ----------
        values : ndarray of object, shape (n,)
            C-contiguous.
        out : ndarray of int64, shape (n,)
            Receives the numbers.
        add : bool
            Whether new strings get a number. If not, theirs is -1.
        """
        cdef Py_ssize_t n = values.size
        if not _is_plain(values, n, cnp.NPY_OBJECT, False):
            raise ValueError("values must be contiguous objects")
        if not _is_plain(out, n, cnp.NPY_INT64):
            raise ValueError("out must be contiguous int64 of the size of values")
        if not _number(
            <PyObject**>cnp.PyArray_DATA(values),
            n,
            self.table,
            <int64_t*>cnp.PyArray_DATA(out),
            self.known,
            self.also,
            True,
            add,
        ):
            raise OverflowError("too many different keys")
