# Arrays of Python -> views that the kernels read and write.

cdef int _kind(cnp.ndarray a) noexcept:
    # By width: a type has two numbers where long and long long are of one width, and
    # another system has the same number for two names.
    cdef int number = cnp.PyArray_TYPE(a)
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(a)
    if number == cnp.NPY_DOUBLE:
        return FLL_FLOAT64
    if number == cnp.NPY_FLOAT:
        return FLL_FLOAT32
    if number == cnp.NPY_FLOAT16:
        return FLL_FLOAT16
    if number == cnp.NPY_BOOL:
        return FLL_UINT8
    if cnp.PyTypeNum_ISSIGNED(number):
        if size == 8:
            return FLL_INT64
        if size == 4:
            return FLL_INT32
        return FLL_INT16 if size == 2 else FLL_INT8
    if cnp.PyTypeNum_ISUNSIGNED(number):
        if size == 8:
            return FLL_UINT64
        if size == 4:
            return FLL_UINT32
        return FLL_UINT16 if size == 2 else FLL_UINT8
    return -1


cdef bint _set_view(View* view, cnp.ndarray a, int ndim) noexcept:
    # Its last axes, a vector or a matrix; False for what is no array of numbers.
    cdef int at = cnp.PyArray_NDIM(a) - ndim
    cdef Py_ssize_t k = 1
    view.kind = _kind(a)
    if view.kind < 0 or at < 0:
        return False
    view.data = cnp.PyArray_BYTES(a)
    view.size = size_of_kind(view.kind)
    view.swapped = view.size > 1 and not cnp.PyArray_ISNOTSWAPPED(a)
    view.aligned = cnp.PyArray_ISALIGNED(a)
    view.row = cnp.PyArray_STRIDE(a, at)
    view.column = view.size
    if ndim == 2:
        k = cnp.PyArray_DIM(a, at + 1)
        view.column = cnp.PyArray_STRIDE(a, at + 1)
    view.in_place = (
        view.kind == FLL_FLOAT64
        and view.aligned
        and not view.swapped
        and (view.column == 8 or k == 1)
        and view.row == 8 * k
    )
    return True


cdef bint _is_vector(cnp.ndarray a, Py_ssize_t n) noexcept:
    return cnp.PyArray_NDIM(a) == 1 and cnp.PyArray_DIM(a, 0) == n


cdef bint _set_inputs(
    Call* call, const Task* task, cnp.ndarray y, cnp.ndarray p, cnp.ndarray w, int cells
) noexcept:
    # False for arrays that are no numbers or do not fit together. `cells` is 1 where
    # the first axis of p are models.
    cdef Py_ssize_t k = task.n_columns
    cdef int ndim = 1 if k == 1 else 2, y_ndim = ndim if task.soft else 1
    memset(call, 0, sizeof(Call))
    call.task = task
    call.scale = 1.0
    call.hessian_factor = 1.0
    call.row_scale = 1.0
    call.n_cells = 1
    if cnp.PyArray_NDIM(p) != ndim + cells or cnp.PyArray_NDIM(y) != y_ndim:
        return False
    if not (_set_view(&call.p, p, ndim) and _set_view(&call.y, y, y_ndim)):
        return False
    call.n = cnp.PyArray_DIM(p, cells)
    if cnp.PyArray_DIM(y, 0) != call.n:
        return False
    if k > 1 and cnp.PyArray_DIM(p, cells + 1) != k:
        return False
    if k > 1 and task.soft and cnp.PyArray_DIM(y, 1) != k:
        return False
    if w is not None:
        if not (_is_vector(w, call.n) and _set_view(&call.w, w, 1)):
            return False
    if cells:
        call.n_cells = cnp.PyArray_DIM(p, 0)
        call.cell = cnp.PyArray_STRIDE(p, 0)
    call.in_place = call.p.in_place and (call.y.in_place or not task.soft)
    return True


cdef object _raise_misfit(cnp.ndarray y, cnp.ndarray p, cnp.ndarray w):
    # The reader has compared lengths: these are arrays that another thread has resized.
    if _kind(y) < 0 or _kind(p) < 0 or (w is not None and _kind(w) < 0):
        raise TypeError("labels, scores and weights must be numbers")
    raise ValueError("labels, scores and weights do not fit together")


cdef object _set_classes(Call* call, cnp.ndarray values, Py_ssize_t n_classes):
    # The classes of labels that are no codes. Returns what has to be kept for the call.
    cdef Classes* classes = &call.classes
    cdef Py_ssize_t n = n_classes, capacity = 16, i
    cdef bint is_float = call.y.kind <= FLL_FLOAT16
    cdef int32_t[::1] slots
    cdef uint64_t slot
    cdef int kind = _kind(values)
    cdef View view
    if (
        not _is_vector(values, n)
        or not _set_view(&view, values, 1)
        or view.row != 8
        or view.swapped
        or not view.aligned
        or (kind != FLL_FLOAT64 if is_float else kind < FLL_INT64)
    ):
        raise TypeError("classes must be a plain array of float64, int64 or uint64")
    classes.n = n
    classes.is_run = True
    if is_float:
        classes.real = <const double*>view.data
        classes.is_run = floor(classes.real[0]) == classes.real[0] and (
            absolute(classes.real[0]) < 2.0**52
        )
        for i in range(n):
            classes.is_run &= classes.real[i] == classes.real[0] + i
    else:
        classes.whole = <const int64_t*>view.data
        for i in range(n):
            classes.is_run &= (
                <uint64_t>classes.whole[i] == <uint64_t>classes.whole[0] + <uint64_t>i
            )
    if classes.is_run:
        return values
    while capacity < 4 * n:
        capacity *= 2
    keep = bytearray(4 * capacity)
    slots = memoryview(keep).cast("i")
    classes.mask = capacity - 1
    for i in range(n):
        slot = hash_of(class_key(classes, i)) & classes.mask
        while slots[slot]:
            slot = (slot + 1) & classes.mask
        slots[slot] = <int32_t>(i + 1)
    classes.slots = &slots[0]
    return values, keep


cdef int _set_output(
    Output* out, cnp.ndarray a, cnp.ndarray like, int ndim, str name
) except -1:
    cdef int i
    if a is None:
        return 0
    if cnp.PyArray_NDIM(a) != ndim:
        raise ValueError(f"{name} has another number of axes")
    for i in range(ndim):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(like, i):
            raise ValueError(f"{name} has another shape")
    if not _set_view(&out.view, a, ndim) or out.view.kind > FLL_FLOAT32:
        raise TypeError(f"{name} must be an array of float64 or float32")
    if out.view.swapped or not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{name} is byte-swapped or read-only")
    out.plain = cnp.PyArray_IS_C_CONTIGUOUS(a) and out.view.aligned
    out.stream = (
        out.plain
        and out.view.kind == FLL_FLOAT64
        and cnp.PyArray_NBYTES(a) >= STREAM_BYTES
    )
    return 0


def pin_memory(*arrays):
    """Keep other threads from freeing the memory of arrays, some of which may be None.

    numpy refuses to resize an array that has a weak reference. A view owns nothing:
    what it is a view of is held, too. The memory is free again without the result.
    """
    references = []
    for array in arrays:
        while isinstance(array, cnp.ndarray):
            references.append(weakref.ref(array))
            array = array.base
    return references


cdef cnp.ndarray _new_like(cnp.ndarray a):
    return cnp.PyArray_EMPTY(
        cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.NPY_DOUBLE, 0
    )


cdef bint _is_free(out, cnp.ndarray p, cnp.ndarray y, cnp.ndarray w):
    # Whether it is a plain array like p, and no part of another argument.
    cdef int i
    if type(out) is not cnp.ndarray or _kind(out) != FLL_FLOAT64:
        return False
    if not cnp.PyArray_ISCARRAY(out) or cnp.PyArray_NDIM(out) != cnp.PyArray_NDIM(p):
        return False
    for i in range(cnp.PyArray_NDIM(p)):
        if cnp.PyArray_DIM(out, i) != cnp.PyArray_DIM(p, i):
            return False
    return not (
        _overlap(out, p) or _overlap(out, y) or (w is not None and _overlap(out, w))
    )


cdef bint _overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    # Whether one begins before the other has ended; both have items.
    cdef char* first[2]
    cdef char* last[2]
    _extent(a, &first[0], &last[0])
    _extent(b, &first[1], &last[1])
    return first[0] < last[1] and first[1] < last[0]


cdef void _extent(cnp.ndarray a, char** first, char** last) noexcept:
    cdef Py_ssize_t reach
    cdef int i
    first[0] = cnp.PyArray_BYTES(a)
    last[0] = first[0] + cnp.PyArray_ITEMSIZE(a)
    for i in range(cnp.PyArray_NDIM(a)):
        reach = (cnp.PyArray_DIM(a, i) - 1) * cnp.PyArray_STRIDE(a, i)
        if reach > 0:
            last[0] += reach
        else:
            first[0] += reach


cdef bint _has_own_epsilon(cnp.ndarray p) noexcept:
    # Probabilities that are clipped by another epsilon than that of float64.
    cdef int kind = _kind(p)
    return (
        kind == FLL_FLOAT32 or kind == FLL_FLOAT16
    ) and cnp.PyArray_ISNOTSWAPPED(p)
