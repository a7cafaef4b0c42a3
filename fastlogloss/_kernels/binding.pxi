# What Python sees: a Spec, its calls, and the Totals that they return.

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


def hold(*arrays):
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


@cython.final
cdef class Spec:
    """What scores and targets mean. It never changes.

    Parameters
    ----------
    n_columns : int
        1 where scores are those of label 1, else the number of classes.
    low, high : float
        Probabilities are clipped to ``[low, high]``.
    tolerance : float
        Rows whose sum is further than this from 1 set ``BAD_ROW_SUM``.
    from_logits : bool
        Scores are logits; the three before then mean nothing.
    soft : bool
        Instead of labels there are targets: (n,), or (n, n_columns).
    smoothing : float
        Share of the label that is spread over all classes.
    target_tolerance : float
        Rows of targets whose sum is further than this from 1 set ``BAD_TARGET``.
    """

    cdef Task task

    def __cinit__(
        self,
        Py_ssize_t n_columns,
        double low,
        double high,
        double tolerance,
        *,
        bint from_logits=False,
        bint soft=False,
        double smoothing=0.0,
        double target_tolerance=1e-6,
    ):
        if n_columns < 1:
            raise ValueError(f"n_columns must be at least 1, got {n_columns}")
        start_task(&self.task, n_columns, low, high, tolerance)
        self.task.from_logits = from_logits
        self.task.soft = soft
        self.task.target_slope = 1.0 - smoothing
        self.task.target_offset = smoothing / max(n_columns, 2)
        self.task.target_tolerance = target_tolerance
        self.task.targets = soft or self.task.target_offset != 0
        self.task.use_product |= from_logits

    @property
    def block_rows(self):
        """Rows of a block. The sums of blocks are merged in order."""
        return block_rows(&self.task)

    def run(
        self,
        cnp.ndarray y not None,
        cnp.ndarray p not None,
        cnp.ndarray w=None,
        *,
        cnp.ndarray classes=None,
        cnp.ndarray rows=None,
        cnp.ndarray gradient=None,
        cnp.ndarray hessian=None,
        int n_threads=1,
        double scale=1.0,
        double hessian_factor=1.0,
        bint check_only=False,
        double row_scale=1.0,
    ):
        """Validate and sum all rows.

        Parameters
        ----------
        y : ndarray of shape (n,), or (n, n_columns) of targets
            Codes of labels, or targets. Like all inputs of any integer type, bool,
            float16, float32 or float64, in any order of bytes and layout.
        p : ndarray of shape (n,) or (n, n_columns)
        w : ndarray of shape (n,), optional
        classes : ndarray of shape (n_classes,), optional
            What stands for each class in `y`, where that is not 0, 1, ...: float64
            where `y` holds floats, else int64 or uint64.
        rows : ndarray of shape (n,), optional
            Receives the losses, which are not summed then; from logits times
            `row_scale`, so that they may be doubles where they were none. Like all
            outputs float64 or float32, in any layout; here float64.
        gradient, hessian : ndarray, shape of `p`, optional
            Receive derivatives times `scale`, and `hessian_factor`.
        check_only : bool
            All is validated but, except for soft targets of probabilities, nothing
            computed.

        Returns
        -------
        Totals
        """
        cdef Call call
        cdef Totals totals = Totals.__new__(Totals)
        cdef bint release
        cdef Py_ssize_t k = self.task.n_columns, i, j
        cdef uint8_t* seen
        cdef int ndim = 1 if k == 1 else 2
        if not _set_inputs(&call, &self.task, y, p, w, 0):
            raise TypeError("no numbers of shapes that fit together")
        if classes is not None:
            keep = _set_classes(&call, classes, max(k, 2))
        if rows is not None:
            _set_output(&call.rows, rows, y, 1, "rows")
            if call.rows.view.kind != FLL_FLOAT64:
                raise TypeError("rows must be an array of float64")
        _set_output(&call.gradient, gradient, p, ndim, "gradient")
        if gradient is not None:
            _set_output(&call.hessian, hessian, p, ndim, "hessian")
        call.derive = gradient is not None
        call.scale = scale
        call.hessian_factor = hessian_factor
        call.check_only = check_only
        call.row_scale = row_scale
        prepare(&call, n_threads)
        totals.spec = self
        totals.n_rows = call.n
        totals.weighted = w is not None
        release = not is_short(&call)
        if not release:
            call.n_threads = 1
        seen = <uint8_t*>calloc(call.n_threads, k)
        if seen == NULL:
            raise MemoryError()
        try:
            guard = hold(y, p, w, rows, gradient, hessian) if release else None
            if call.n:
                run(&call, &totals.total, seen, release)
            else:
                start(&totals.total)
            del guard
            for i in range(1, call.n_threads):
                for j in range(k):
                    seen[j] |= seen[i * k + j]
            totals.seen = PyBytes_FromStringAndSize(<const char*>seen, k)
        finally:
            free(seen)
        return totals

    def run_many(
        self,
        cnp.ndarray y not None,
        cnp.ndarray scores not None,
        cnp.ndarray w,
        cnp.ndarray losses not None,
        cnp.ndarray statuses not None,
        int n_threads=1,
    ):
        """Mean loss of each of several models on the same rows.

        ``scores`` are those of `run` with the models as first axis. ``losses``
        (float64) and ``statuses`` (int64) receive one number for each; but for
        ``BAD_ROW_SUM``, the status of one may be that of a neighbour. False, with
        nothing of use done, where a sum is beyond the range of doubles or weights have
        both signs.
        """
        cdef Call call
        cdef Py_ssize_t model, k = self.task.n_columns
        cdef Partial* totals = NULL
        cdef Partial* total
        cdef uint8_t* seen = NULL
        cdef double loss, weight
        cdef bint good = True
        if not _set_inputs(&call, &self.task, y, scores, w, 1) or not call.n:
            raise TypeError("no numbers of shapes that fit together")
        if not (
            _is_vector(losses, call.n_cells)
            and _is_vector(statuses, call.n_cells)
            and _kind(losses) == FLL_FLOAT64
            and _kind(statuses) == FLL_INT64
            and cnp.PyArray_ISCARRAY(losses)
            and cnp.PyArray_ISCARRAY(statuses)
        ):
            raise TypeError("losses and statuses must be plain and writeable")
        if not call.n_cells:
            return True
        prepare(&call, n_threads)
        guard = hold(y, scores, w, losses, statuses)
        try:
            totals = <Partial*>malloc(call.n_cells * sizeof(Partial))
            seen = <uint8_t*>calloc(call.n_threads, k)
            if totals == NULL or seen == NULL:
                raise MemoryError()
            run(&call, totals, seen, True)
            for model in range(call.n_cells):
                total = totals + model
                (<int64_t*>cnp.PyArray_DATA(statuses))[model] = total.status
                loss = loss_of(total, &self.task)
                weight = call.n
                if w is not None:
                    weight = total.weight + total.weight_tail
                good &= in_range(loss, weight, call.n, &self.task, w is not None)
                good &= total.signs >> 63 == 0
                (<double*>cnp.PyArray_DATA(losses))[model] = loss / weight
        finally:
            free(totals)
            free(seen)
        del guard
        return good

    def mean(self, y, p, w=None, bint complete=False):
        """Mean loss of a few rows, the short way.

        If `complete`, all classes have to occur, and two of them may be any numbers.

        None, with nothing else done, unless `y`, `p` and `w` are arrays of few rows
        with nothing to warn of or stumble over, and the sums in range. Everything here
        is also done, at length, by the callers of `run`.
        """
        if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
            return None
        if w is not None and type(w) is not cnp.ndarray:
            return None
        if not self.task.from_logits and _is_narrow(p):
            return None
        return _short_mean(&self.task, y, p, w, complete)

    def slopes(self, y, p, w, double total, int order, bint normalize, out, complete):
        """Loss, gradient and, of order 2, hessian of a few rows, the short way.

        None, with nothing else done, under the conditions of `mean`, or where `p` is
        not float64, or `out` not one or two plain arrays that share no memory with
        another. ``total`` is the sum of the weights. All is validated before the first
        number is written to `out`.
        """
        cdef Call call
        cdef Partial part
        cdef uint8_t seen[MAX_SHORT]
        cdef cnp.ndarray gradient, hessian = None, scores
        cdef Py_ssize_t k = self.task.n_columns
        cdef double loss
        if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
            return None
        if w is not None and type(w) is not cnp.ndarray:
            return None
        scores = p
        if _kind(scores) != FLL_FLOAT64 or not cnp.PyArray_ISNOTSWAPPED(scores):
            return None
        if k > MAX_SHORT or not _set_inputs(&call, &self.task, y, scores, w, 0):
            return None
        prepare(&call, 1)
        if call.n == 0 or not is_short(&call):
            return None
        if normalize:
            if not 1e-290 < absolute(total) < 1e300:
                return None
            call.scale = 1.0 / total
        if out is None:
            gradient = _new_like(scores)
            if order == 2:
                hessian = _new_like(scores)
        else:
            if order == 2 and (type(out) is not tuple or len(out) != 2):
                return None
            first = out if order == 1 else out[0]
            if not _is_free(first, scores, y, w):
                return None
            gradient = first
            if order == 2:
                if not _is_free(out[1], scores, y, w) or _overlap(gradient, out[1]):
                    return None
                hessian = out[1]
            call.check_only = True
            prepare(&call, 1)
            memset(seen, 0, k)
            run(&call, &part, seen, False)
            if part.status:
                return None
            if complete and count_seen(&part, k, call.n, seen) != max(k, 2):
                return None
            call.check_only = False
        _set_output(&call.gradient, gradient, scores, scores.ndim, "gradient")
        _set_output(&call.hessian, hessian, scores, scores.ndim, "hessian")
        call.derive = True
        prepare(&call, 1)
        memset(seen, 0, k)
        run(&call, &part, seen, False)
        if part.status or part.signs >> 63:
            return None
        if complete and count_seen(&part, k, call.n, seen) != max(k, 2):
            return None
        loss = loss_of(&part, &self.task)
        if w is not None:
            total = part.weight + part.weight_tail
        if not in_range(loss, total, call.n, &self.task, w is not None):
            return None
        if normalize:
            loss /= total
        return (loss, gradient) if order == 1 else (loss, gradient, hessian)


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


cdef bint _is_narrow(cnp.ndarray p) noexcept:
    # Probabilities that are clipped by another epsilon than that of float64.
    cdef int kind = _kind(p)
    return (
        kind == FLL_FLOAT32 or kind == FLL_FLOAT16
    ) and cnp.PyArray_ISNOTSWAPPED(p)


@cython.final
cdef class Totals:
    """Sums over rows, and what validation found on the way: a value."""

    cdef Spec spec
    cdef Partial total
    cdef bytes seen
    cdef readonly Py_ssize_t n_rows
    cdef bint weighted

    def __add__(Totals self, Totals other):
        """The totals of the rows of both, one after the other.

        With the bits of one call, if the first holds whole blocks.
        """
        cdef Totals both = Totals.__new__(Totals)
        cdef Partial part = other.total
        both.spec = self.spec
        both.total = self.total
        both.n_rows = self.n_rows + other.n_rows
        both.weighted = self.weighted or other.weighted
        both.seen = bytes(a | b for a, b in zip(self.seen, other.seen, strict=True))
        if part.bad_sum_from >= 0:
            part.bad_sum_from += self.n_rows
        merge(&both.total, &part)
        return both

    @property
    def status(self):
        """Union of the ``BAD_*`` flags: what the rows broke."""
        return self.total.status

    @property
    def bad_sum_from(self):
        """A row before which all sums are within the tolerance; -1 if all are."""
        return self.total.bad_sum_from

    @property
    def loss(self):
        """Sum of the losses (weighted, if weights were given), in nats."""
        return loss_of(&self.total, &self.spec.task)

    @property
    def weight(self):
        """Sum of the weights; the number of rows where there are none."""
        if self.weighted:
            return self.total.weight + self.total.weight_tail
        return <double>self.n_rows

    @property
    def in_range(self):
        """Whether the sums lost nothing beyond the range of doubles."""
        return in_range(
            self.loss, self.weight, self.n_rows, &self.spec.task, self.weighted
        )

    @property
    def signed(self):
        """Whether some weight is negative: their sum may be mostly rounding then."""
        return self.total.signs >> 63 != 0

    @property
    def n_classes_seen(self):
        """Number of different labels among the rows."""
        return count_seen(
            &self.total, self.spec.task.n_columns, self.n_rows, self.seen
        )


def mean_loss(y, p, double low, double tolerance):
    """Mean loss of a few rows, the short way, whatever the two classes are.

    None, with nothing else done, unless `y` and `p` are arrays of few rows, `p` such
    that is clipped as float64, that hold all their classes and nothing to clip, warn or
    stumble over. Everything here is also done, at length, by the callers of `Spec.run`.
    """
    cdef Task task
    if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray or _is_narrow(p):
        return None
    cdef int ndim = cnp.PyArray_NDIM(p)
    cdef Py_ssize_t k = cnp.PyArray_DIM(p, 1) if ndim == 2 else 1
    if k < ndim:
        return None
    start_task(&task, k, low, 1.0 - low, tolerance)
    return _short_mean(&task, y, p, None, True)


cdef object _short_mean(
    const Task* task, cnp.ndarray y, cnp.ndarray p, cnp.ndarray w, bint all_classes
):
    # One block, with the GIL: no object is made, nor a thread.
    cdef Call call
    cdef Partial part
    cdef uint8_t seen[MAX_SHORT]
    cdef double real[2]
    cdef int64_t whole[2]
    cdef double loss, weight
    cdef Py_ssize_t k = task.n_columns
    if k > MAX_SHORT or not _set_inputs(&call, task, y, p, w, 0):
        return None
    prepare(&call, 1)
    if call.n == 0 or not is_short(&call):
        return None
    memset(seen, 0, k)
    run(&call, &part, seen, False)
    if part.status == _BAD_LABEL and all_classes and k <= 2:
        if not _set_first_two(&call, real, whole):
            return None
        call.common_codes = False
        memset(seen, 0, k)
        run(&call, &part, seen, False)
    if part.status or part.signs >> 63:
        return None
    if all_classes and count_seen(&part, k, call.n, seen) != max(k, 2):
        return None
    loss = loss_of(&part, task)
    weight = call.n if w is None else part.weight + part.weight_tail
    if not in_range(loss, weight, call.n, task, w is not None):
        return None
    return loss / weight


cdef bint _set_first_two(Call* call, double* real, int64_t* whole) noexcept:
    # Take the first two different labels to be the classes. Whole numbers alone can be,
    # that an int64 holds; -100 beside codes is left to who knows what is asked.
    cdef double items[TILE]
    cdef double buffer[TILE]
    if call.loss == softmax_loss or call.loss == matrix_of_targets_loss:
        return False  # which look labels up
    if first_two(&call.y, call.n, items, buffer, real, whole) < 2:
        return False
    if call.y.kind <= FLL_FLOAT16:
        call.classes.real = real
        call.classes.n = 2
        return (
            floor(real[0]) == real[0]
            and floor(real[1]) == real[1]
            and -(2.0**63) <= real[0]
            and real[1] < 2.0**63
            and not (real[0] == -100 and real[1] >= 0)
        )
    call.classes.whole = whole
    call.classes.n = 2
    return call.y.kind == FLL_UINT64 or not (whole[0] == -100 and whole[1] >= 0)


def encode(cnp.ndarray y not None, cnp.ndarray classes, cnp.ndarray codes not None):
    """Write the code of each label, -1 for what is no class; whether there is none.

    ``classes`` as of `Spec.run`, or the number of them alone: an array of no axes.
    ``codes`` (int64) has the length of ``y``.
    """
    cdef Call call
    cdef Task task
    cdef double items[TILE]
    cdef double buffer[TILE]
    cdef Py_ssize_t first = 0, m, n_classes
    cdef bint good = True
    n_classes = int(classes) if cnp.PyArray_NDIM(classes) == 0 else len(classes)
    memset(&call, 0, sizeof(Call))
    memset(&task, 0, sizeof(Task))
    task.n_columns = n_classes
    call.task = &task
    if not (cnp.PyArray_NDIM(y) == 1 and _set_view(&call.y, y, 1)):
        raise TypeError("labels must be numbers")
    if not (
        _is_vector(codes, cnp.PyArray_DIM(y, 0))
        and _kind(codes) == FLL_INT64
        and cnp.PyArray_ISCARRAY(codes)
    ):
        raise TypeError("codes must be a plain array of int64")
    keep = None if cnp.PyArray_NDIM(classes) == 0 else _set_classes(
        &call, classes, n_classes
    )
    while first < cnp.PyArray_DIM(y, 0):
        m = min(cnp.PyArray_DIM(y, 0) - first, <Py_ssize_t>TILE)
        good &= load_codes(
            &call.y, first, m, n_classes, &call.classes, items, buffer,
            <Py_ssize_t*>cnp.PyArray_DATA(codes) + first,
        )
        first += m
    del keep
    return good


def sum_weights(cnp.ndarray w not None):
    """Sum of weights, what it was rounded by, and the sum of sizes.

    For up to 2^14 weights the two are their sum within 2^-84 of the third.
    """
    cdef double total = 0, tail = 0, size = 0, part, part_tail, part_size
    cdef double items[TILE]
    cdef double buffer[TILE]
    cdef Py_ssize_t first = 0, m, n
    cdef const double* x
    cdef View view
    if not (cnp.PyArray_NDIM(w) == 1 and _set_view(&view, w, 1)):
        raise TypeError("weights must be a vector of numbers")
    n = cnp.PyArray_DIM(w, 0)
    while first < n:
        m = min(n - first, <Py_ssize_t>TILE)  # in place too: the same bits
        x = load_doubles(&view, first, m, 1, items, buffer)
        sum_compensated(x, m, &part, &part_tail, &part_size)
        add_compensated(&total, &tail, part)
        tail += part_tail
        size += part_size
        first += m
    return total, tail, size


def worst_row(cnp.ndarray p not None):
    """The first row of a matrix whose sum is furthest from 1, and that sum."""
    cdef Py_ssize_t row, n, k, group
    cdef double total
    cdef double* buffers = NULL
    cdef View view
    if not (cnp.PyArray_NDIM(p) == 2 and _set_view(&view, p, 2)):
        raise TypeError("p must be a matrix of numbers")
    n, k = cnp.PyArray_DIM(p, 0), cnp.PyArray_DIM(p, 1)
    group = group_rows(max(k, 1))
    buffers = new_buffer(2 * group * k)
    if buffers == NULL:
        raise MemoryError()
    guard = hold(p)
    with nogil:
        worst_sum(&view, n, k, group, buffers, &row, &total)
    free_buffer(buffers)
    del guard
    return row, total
