# Blocks, threads, and the object that holds a mergeable state (designs F, G).

cdef inline void start(Partial* part) noexcept nogil:
    memset(part, 0, sizeof(Partial))
    part.h = 1.0


cdef void block(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n, n_columns)
    const double* w,        # IN  (n,) or NULL
    Py_ssize_t n,
    const Task* task,
    Partial* part,          # OUT
    uint8_t* seen,          # IN/OUT (n_columns,)
    double* out,            # OUT (n,) or NULL: the rows' losses instead of their sum
) noexcept nogil:
    cdef double q[TILE]
    cdef double h[2 * LANES]
    cdef double l[2 * LANES]
    cdef Py_ssize_t i, first = 0, m
    cdef int status
    start(part)
    start_lanes(h, l)
    while first < n:
        m = TILE if n - first > TILE else n - first
        status = load(
            y + first, p + first * task.n_columns, m, task, q, &part.n_ones, seen
        )
        part.status |= status
        if status & (_BAD_LABEL | _BAD_PROBA):
            return
        if out != NULL:
            write_rows(q, m, task, out + first)
        else:
            for i in range(m, TILE):
                q[i] = 1.0
            if w != NULL or not task.use_product:
                add_tile(q, NULL if w == NULL else w + first, m, task, part)
            else:
                part.exponent += multiply_plain_tile(q, h, l)
        first += m
    fold_lanes(h, l, part)


cdef void merge(Partial* total, const Partial* part) noexcept nogil:
    # total <- total then part: in order, since rounding does not commute.
    cdef double h[2]
    cdef double l[2]
    h[0] = total.h
    h[1] = part.h
    l[0] = total.l
    l[1] = part.l
    multiply_halves(h, l, 1)
    total.exponent += part.exponent + normalise(h, l, 1)
    total.h = h[0]
    total.l = l[0]
    add_compensated(&total.loss, &total.loss_tail, part.loss)
    total.loss_tail += part.loss_tail
    add_compensated(&total.weight, &total.weight_tail, part.weight)
    total.weight_tail += part.weight_tail
    total.n_ones += part.n_ones
    total.status |= part.status


cdef struct Span:
    # Consecutive rows of a call and how they are cut into blocks.
    const char* y
    const char* p
    const double* w         # or NULL
    Outputs out
    Py_ssize_t first        # row of the outputs that is row 0 of the rest
    Py_ssize_t n
    Py_ssize_t block_rows
    int label_kind
    int proba_kind
    int n_threads


cdef void run_typed(
    const label_t* y,
    const proba_t* p,
    const Span* span,
    const Task* task,
    Partial* parts,         # OUT (n_blocks,)
    uint8_t* seen,          # IN/OUT (n_threads, n_columns)
    double* scratch,        # (n_threads, scratch_size())
) noexcept nogil:
    cdef Py_ssize_t b, k = task.n_columns, rows = span.block_rows, n = span.n
    cdef Py_ssize_t step = k if task.soft else 1
    for b in prange(
        (n + rows - 1) // rows,
        schedule="static",
        num_threads=span.n_threads,
        use_threads_if=span.n_threads > 1,
    ):
        if task.general:
            score_block(
                y + b * rows * step,
                p + b * rows * k,
                NULL if span.w == NULL else span.w + b * rows,
                rows if n - b * rows > rows else n - b * rows,
                task,
                parts + b,
                seen + threadid() * k,
                scratch + threadid() * scratch_size(k),
                &span.out,
                span.first + b * rows,
            )
        else:
            block(
                y + b * rows,
                p + b * rows * k,
                NULL if span.w == NULL else span.w + b * rows,
                rows if n - b * rows > rows else n - b * rows,
                task,
                parts + b,
                seen + threadid() * k,
                NULL if span.out.rows == NULL
                else span.out.rows + span.first + b * rows,
            )


cdef inline Py_ssize_t scratch_size(Py_ssize_t n_columns) noexcept nogil:
    return 3 * n_columns * group_rows(n_columns)


cdef inline Py_ssize_t group_rows(Py_ssize_t n_columns) noexcept nogil:
    return max(8, min(<Py_ssize_t>MAX_GROUP, GROUP_VALUES // n_columns // 8 * 8))


cdef void run_labels(
    const proba_t* p,
    const Span* span,
    const Task* task,
    Partial* parts,
    uint8_t* seen,
    double* scratch,
) noexcept nogil:
    if span.label_kind == FLOAT64:
        run_typed(<const double*>span.y, p, span, task, parts, seen, scratch)
    elif span.label_kind == INT64:
        run_typed(<const int64_t*>span.y, p, span, task, parts, seen, scratch)
    else:
        run_typed(<const uint8_t*>span.y, p, span, task, parts, seen, scratch)


cdef void run(
    const Span* span, const Task* task, Partial* parts, uint8_t* seen, double* scratch
) noexcept nogil:
    if span.proba_kind == FLOAT64:
        run_labels(<const double*>span.p, span, task, parts, seen, scratch)
    else:
        run_labels(<const float*>span.p, span, task, parts, seen, scratch)


cdef void skip(Span* span, Py_ssize_t n, const Task* task) noexcept nogil:
    cdef Py_ssize_t k = task.n_columns
    span.y += n * (k if task.soft else 1) * (1 if span.label_kind == UINT8 else 8)
    span.p += n * k * (4 if span.proba_kind == FLOAT32 else 8)
    if span.w != NULL:
        span.w += n
    span.first += n


cpdef int max_threads() noexcept:
    """Threads that OpenMP would use: OMP_NUM_THREADS and threadpoolctl count."""
    return openmp.omp_get_max_threads()


cdef inline bint _is_plain(cnp.ndarray a, int ndim) noexcept:
    return (
        cnp.PyArray_NDIM(a) == ndim
        and cnp.PyArray_IS_C_CONTIGUOUS(a)
        and cnp.PyArray_ISALIGNED(a)
        and cnp.PyArray_ISNOTSWAPPED(a)
    )


cdef int _label_kind(cnp.ndarray a) noexcept:
    cdef int number = cnp.PyArray_TYPE(a)
    if number == cnp.NPY_DOUBLE:
        return FLOAT64
    if number == cnp.NPY_BOOL or number == cnp.NPY_UINT8:
        return UINT8
    # long or long long: both, where they are of one width.
    if number == cnp.NPY_INT64 or (number == cnp.NPY_LONGLONG):
        return INT64
    return -1


cdef int _proba_kind(cnp.ndarray a) noexcept:
    cdef int number = cnp.PyArray_TYPE(a)
    if number == cnp.NPY_DOUBLE:
        return FLOAT64
    return FLOAT32 if number == cnp.NPY_FLOAT else -1


cdef bint _is_output(cnp.ndarray a, cnp.ndarray like) noexcept:
    cdef int i
    if not (_is_plain(a, like.ndim) and cnp.PyArray_ISWRITEABLE(a)):
        return False
    for i in range(like.ndim):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(like, i):
            return False
    return _proba_kind(a) >= 0


@cython.final
cdef class LossState:
    """Sum of log losses over rows, with what validation found on the way.

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
    """

    cdef Task task
    cdef Partial total
    cdef uint8_t* seen
    cdef int seen_rows
    cdef readonly Py_ssize_t n_rows
    cdef bint weighted

    def __init__(
        self,
        Py_ssize_t n_columns,
        double low,
        double high,
        double tolerance,
        *,
        bint from_logits=False,
        bint soft=False,
        double smoothing=0.0,
    ):
        if n_columns < 1:
            raise ValueError(f"n_columns must be at least 1, got {n_columns}")
        self.start(n_columns, low, high, tolerance)
        self.task.from_logits = from_logits
        self.task.soft = soft
        self.task.target_slope = 1.0 - smoothing
        self.task.target_offset = smoothing / max(n_columns, 2)
        self.task.use_product |= from_logits

    cdef int start(
        self, Py_ssize_t n_columns, double low, double high, double tolerance
    ) except -1:
        free(self.seen)
        memset(&self.task, 0, sizeof(Task))
        self.seen_rows = 1
        self.seen = <uint8_t*>calloc(n_columns, 1)
        if self.seen == NULL:
            raise MemoryError()
        self.task.n_columns = n_columns
        self.task.low = low
        self.task.high = high
        # Twice as far from the ends as the clip, so that it holds for 1 - p too,
        # however 1 - p is rounded, and never so close to 1 that 1 - p can be 0. Where
        # nothing is left between, one half still is: outside() needs low <= high.
        cdef double inner = min(2.0 * low, 0.5)
        self.task.inner_low = to_bits(inner)
        self.task.inner_high = to_bits(1.0 - max(inner, 2.0**-52))
        # A probability on the edge is clipped; where nothing can be, there is no edge.
        self.task.flat_low = low if low > 0 else -1.0
        self.task.flat_high = high if high < 1 else 2.0
        self.task.tolerance = tolerance
        self.task.use_product = low >= MIN_FACTOR
        self.task.target_slope = 1.0
        self.task.group = group_rows(n_columns)
        start(&self.total)
        self.n_rows = 0
        self.weighted = False
        return 0

    def __dealloc__(self):
        free(self.seen)

    @property
    def block_rows(self):
        """Rows of a block; every call of `add` but the last takes a multiple of it."""
        return self._block_rows()

    cdef Py_ssize_t _block_rows(self) noexcept:
        # At least two columns' worth, so that (n,) and (n, 2) are cut alike.
        cdef Py_ssize_t columns = max(self.task.n_columns, 2)
        return max(BLOCK_VALUES // columns // TILE, 1) * TILE

    def add(
        self,
        cnp.ndarray y not None,
        cnp.ndarray p not None,
        cnp.ndarray w=None,
        cnp.ndarray rows=None,
        int n_threads=1,
        *,
        cnp.ndarray gradient=None,
        cnp.ndarray hessian=None,
        double scale=1.0,
        double hessian_factor=1.0,
        bint check_only=False,
    ):
        """Add rows; return False, having done nothing, for arrays it cannot read.

        It reads C-contiguous, aligned, native arrays of equal length: ``y`` float64,
        int64, uint8 or bool codes (targets: float64); ``p`` float64 or float32; ``w``
        float64. With ``rows`` (float64) the rows' losses are written there and not
        summed. ``gradient`` and ``hessian`` (float64 or float32, shaped like ``p``)
        receive derivatives, times ``scale``. With ``check_only`` all is validated but,
        except for soft targets of probabilities, nothing computed.
        """
        cdef Py_ssize_t k = self.task.n_columns
        cdef Py_ssize_t n
        cdef Span span
        if k == 0:
            raise ValueError("a LossState without its parameters")
        if not (
            _is_plain(y, 2 if self.task.soft and k > 1 else 1)
            and _is_plain(p, 1 if k == 1 else 2)
        ):
            return False
        n = cnp.PyArray_DIM(y, 0)
        if cnp.PyArray_DIM(p, 0) != n or (k > 1 and cnp.PyArray_DIM(p, 1) != k):
            return False
        if self.task.soft and k > 1 and cnp.PyArray_DIM(y, 1) != k:
            return False
        if w is not None and not (
            _is_plain(w, 1)
            and cnp.PyArray_TYPE(w) == cnp.NPY_DOUBLE
            and cnp.PyArray_DIM(w, 0) == n
        ):
            return False
        if rows is not None and not (
            _is_plain(rows, 1)
            and cnp.PyArray_ISWRITEABLE(rows)
            and cnp.PyArray_TYPE(rows) == cnp.NPY_DOUBLE
            and cnp.PyArray_DIM(rows, 0) == n
        ):
            return False
        memset(&span, 0, sizeof(Span))
        span.label_kind = _label_kind(y)
        span.proba_kind = _proba_kind(p)
        if span.label_kind < 0 or span.proba_kind < 0:
            return False
        if self.task.soft and span.label_kind != FLOAT64:
            return False
        if gradient is not None:
            if not _is_output(gradient, p):
                return False
            span.out.gradient = cnp.PyArray_BYTES(gradient)
            span.out.gradient_kind = _proba_kind(gradient)
            if hessian is not None:
                if not _is_output(hessian, p):
                    return False
                span.out.hessian = cnp.PyArray_BYTES(hessian)
                span.out.hessian_kind = _proba_kind(hessian)
        self.task.general = (
            self.task.from_logits
            or self.task.soft
            or self.task.target_offset != 0
            or gradient is not None
            or check_only
        )
        self.task.scale = scale
        self.task.hessian_factor = hessian_factor
        self.task.check_only = check_only
        if n == 0:
            return True
        span.y = cnp.PyArray_BYTES(y)
        span.p = cnp.PyArray_BYTES(p)
        span.w = NULL if w is None else <const double*>cnp.PyArray_DATA(w)
        span.out.rows = NULL if rows is None else <double*>cnp.PyArray_DATA(rows)
        span.n = n
        span.block_rows = self._block_rows()
        self.n_rows += n
        self.weighted |= w is not None
        if n <= span.block_rows:  # short work keeps the GIL: releasing it costs more
            span.n_threads = 1
            self._add_block(&span)
        else:
            # numpy refuses to resize an array that has a weak reference, so that no
            # other thread can free the memory that is read without the GIL.
            guard = [
                weakref.ref(a)
                for a in (y, p, w, rows, gradient, hessian)
                if a is not None
            ]
            self._add_blocks(&span, n_threads)
            del guard
        return True

    cdef double* _scratch(self, int n_threads) except? NULL:
        # Rows of more than one column are worked on in buffers of their width.
        cdef double* scratch
        if not self.task.general or self.task.n_columns == 1:
            return NULL
        scratch = <double*>malloc(
            n_threads * scratch_size(self.task.n_columns) * sizeof(double)
        )
        if scratch == NULL:
            raise MemoryError()
        return scratch

    cdef int _add_block(self, const Span* span) except -1:
        cdef Partial part
        cdef double* scratch = self._scratch(1)
        run(span, &self.task, &part, self.seen, scratch)
        merge(&self.total, &part)
        free(scratch)
        return 0

    cdef int _add_blocks(self, Span* span, int n_threads) except -1:
        cdef Py_ssize_t rows = span.block_rows, n = span.n, b
        cdef Py_ssize_t n_blocks = (n + rows - 1) // rows
        cdef Partial* parts = NULL
        cdef double* scratch = NULL
        span.n_threads = max(1, min(n_threads, n_blocks))
        self._widen(span.n_threads)
        try:
            scratch = self._scratch(span.n_threads)
            parts = <Partial*>malloc(min(n_blocks, <Py_ssize_t>WAVE) * sizeof(Partial))
            if parts == NULL:
                raise MemoryError()
            while n > 0:
                span.n = min(n, WAVE * rows)
                with nogil:
                    run(span, &self.task, parts, self.seen, scratch)
                    for b in range((span.n + rows - 1) // rows):
                        merge(&self.total, parts + b)
                PyErr_CheckSignals()
                n -= span.n
                skip(span, span.n, &self.task)
        finally:
            free(parts)
            free(scratch)
        return 0

    cdef int _widen(self, int n_threads) except -1:
        # Every thread marks the classes it has seen in a row of its own.
        cdef Py_ssize_t k = self.task.n_columns
        cdef uint8_t* wider
        if n_threads > self.seen_rows:
            wider = <uint8_t*>realloc(self.seen, n_threads * k)
            if wider == NULL:
                raise MemoryError()
            memset(wider + self.seen_rows * k, 0, (n_threads - self.seen_rows) * k)
            self.seen = wider
            self.seen_rows = n_threads
        return 0

    @property
    def status(self):
        """Union of the ``BAD_*`` flags: what the rows broke."""
        return self.total.status

    @property
    def loss(self):
        """Sum of the losses (weighted, if weights were given), in nats."""
        return self._loss()

    cdef double _loss(self) noexcept:
        cdef double h = self.total.h + self.total.l
        cdef double l = self.total.l - (h - self.total.h)
        cdef double log_q = log_product(h, l, <double>self.total.exponent)
        if not self.task.from_logits:
            log_q = -log_q
        return (self.total.loss + log_q) + self.total.loss_tail

    @property
    def weight(self):
        """Sum of the weights; the number of rows where there are none."""
        if self.weighted:
            return self.total.weight + self.total.weight_tail
        return <double>self.n_rows

    @property
    def n_classes_seen(self):
        """Number of different labels among the rows."""
        return self._n_classes_seen()

    cdef Py_ssize_t _n_classes_seen(self) noexcept:
        cdef Py_ssize_t i, j, k = self.task.n_columns, n = 0
        cdef bint marked = self.task.from_logits or self.task.target_offset != 0
        if k == 1 or (k == 2 and not marked):
            return (self.total.n_ones > 0) + (self.total.n_ones < self.n_rows)
        for j in range(k):
            for i in range(self.seen_rows):
                if self.seen[i * k + j]:
                    n += 1
                    break
        return n


def sum_weights(cnp.ndarray w not None):
    """Sum of plain float64 weights; NaN if some weight is negative (or -0.0) or NaN."""
    cdef double total = 0, tail = 0
    cdef const double* first = <const double*>cnp.PyArray_DATA(w)
    cdef uint64_t signs
    if not (_is_plain(w, 1) and cnp.PyArray_TYPE(w) == cnp.NPY_DOUBLE):
        raise TypeError("weights must be a plain array of float64")
    guard = weakref.ref(w)
    with nogil:
        signs = add_weights(first, cnp.PyArray_DIM(w, 0), &total, &tail)
    del guard
    return NAN if signs >> 63 else total + tail


def mean_loss(y, p, double low, double tolerance):
    """Mean loss of a few rows, the short way.

    None, with nothing else done, unless `y` and `p` are short plain arrays, `p`
    float64, that hold all their classes and nothing to clip, warn or stumble over.
    Everything here is also done, at length, by the callers of `LossState`.
    """
    cdef LossState state
    cdef Py_ssize_t n, k
    if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
        return None
    k = cnp.PyArray_DIM(p, 1) if cnp.PyArray_NDIM(p) == 2 else 1
    if cnp.PyArray_TYPE(p) != cnp.NPY_DOUBLE or k * cnp.PyArray_SIZE(y) > SHORT_VALUES:
        return None
    if cnp.PyArray_NDIM(p) == 2 and k < 2:
        return None
    state = LossState.__new__(LossState)
    state.start(k, low, 1.0 - low, tolerance)
    if not state.add(y, p):
        return None
    n = state.n_rows
    if state.total.status or state._n_classes_seen() != max(k, 2):
        return None
    return state._loss() / n


def mean_like(LossState like, y, p, w):
    """Mean loss of a few rows by the parameters of another state, the short way.

    None, with nothing else done, unless the arrays are plain and short, and nothing
    is wrong with them or the probabilities float64 or logits.
    """
    cdef LossState state
    if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
        return None
    if cnp.PyArray_TYPE(p) != cnp.NPY_DOUBLE or cnp.PyArray_SIZE(p) > SHORT_VALUES:
        return None
    if cnp.PyArray_NDIM(p) != (1 if like.task.n_columns == 1 else 2):
        return None
    state = LossState.__new__(LossState)
    state.start(like.task.n_columns, like.task.low, like.task.high, like.task.tolerance)
    state.task = like.task
    if not state.add(y, p, w) or state.total.status or state.n_rows == 0:
        return None
    return state._loss() / (
        state.total.weight + state.total.weight_tail if state.weighted else state.n_rows
    )


def many_like(
    LossState like,
    cnp.ndarray y not None,
    cnp.ndarray scores not None,
    cnp.ndarray w,
    cnp.ndarray losses not None,
    int n_threads,
):
    """Mean loss of each of several models by the parameters of another state.

    ``scores`` are those of `LossState.add` with the models as first axis, ``losses``
    (float64) receives one number for each. Threads share out the models. False, with
    nothing of use done, where an array is not plain or anything is wrong with it.
    """
    cdef Py_ssize_t k = like.task.n_columns, n_models = scores.shape[0], model, b
    cdef Py_ssize_t n = cnp.PyArray_DIM(y, 0), rows = like._block_rows()
    cdef Py_ssize_t n_blocks = (n + rows - 1) // rows, first = 0, last
    cdef Py_ssize_t wave = max(n_threads, WAVE * rows // max(n, 1))
    cdef Span span
    cdef Task task = like.task
    cdef uint8_t* seen = NULL
    cdef double* scratch = NULL
    cdef Partial* parts = NULL
    cdef Partial* totals = NULL
    cdef LossState state
    cdef int status = 0
    if n == 0 or n_models == 0 or like.task.soft and k > 1 and cnp.PyArray_NDIM(y) != 2:
        return False
    if not (
        _is_plain(y, 2 if task.soft and k > 1 else 1)
        and _is_plain(scores, 2 if k == 1 else 3)
        and cnp.PyArray_DIM(scores, 1) == n
        and (k == 1 or cnp.PyArray_DIM(scores, 2) == k)
        and (w is None or (_is_plain(w, 1) and cnp.PyArray_DIM(w, 0) == n))
        and (w is None or cnp.PyArray_TYPE(w) == cnp.NPY_DOUBLE)
        and _is_plain(losses, 1)
        and cnp.PyArray_TYPE(losses) == cnp.NPY_DOUBLE
        and cnp.PyArray_DIM(losses, 0) == n_models
    ):
        return False
    memset(&span, 0, sizeof(Span))
    span.label_kind = _label_kind(y)
    span.proba_kind = _proba_kind(scores)
    if span.label_kind < 0 or span.proba_kind < 0:
        return False
    span.y = cnp.PyArray_BYTES(y)
    span.p = cnp.PyArray_BYTES(scores)
    span.w = NULL if w is None else <const double*>cnp.PyArray_DATA(w)
    span.n = n
    span.block_rows = rows
    span.n_threads = 1  # within a model
    task.general = task.from_logits or task.soft or task.target_offset != 0
    n_threads = max(1, min(n_threads, n_models))
    guard = [weakref.ref(a) for a in (y, scores, w) if a is not None]
    try:
        seen = <uint8_t*>calloc(n_threads, k)
        scratch = <double*>malloc(n_threads * scratch_size(k) * sizeof(double))
        parts = <Partial*>malloc(n_threads * n_blocks * sizeof(Partial))
        totals = <Partial*>malloc(n_models * sizeof(Partial))
        if seen == NULL or scratch == NULL or parts == NULL or totals == NULL:
            raise MemoryError()
        while first < n_models:
            last = min(first + wave, n_models)
            with nogil:
                for model in prange(
                    first,
                    last,
                    schedule="static",
                    num_threads=n_threads,
                    use_threads_if=n_threads > 1,
                ):
                    run_model(
                        &span,
                        model,
                        &task,
                        parts + threadid() * n_blocks,
                        seen + threadid() * k,
                        scratch + threadid() * scratch_size(k),
                        totals + model,
                    )
            PyErr_CheckSignals()
            first = last
        for model in range(n_models):
            status |= totals[model].status
            state = LossState.__new__(LossState)
            state.task = task
            state.total = totals[model]
            (<double*>cnp.PyArray_DATA(losses))[model] = state._loss() / (
                n if w is None else state.total.weight + state.total.weight_tail
            )
    finally:
        free(seen)
        free(scratch)
        free(parts)
        free(totals)
    del guard
    return status == 0


cdef void run_model(
    const Span* span,       # of the first model
    Py_ssize_t model,
    const Task* task,
    Partial* parts,         # (n_blocks,)
    uint8_t* seen,
    double* scratch,
    Partial* total,         # OUT
) noexcept nogil:
    cdef Span here = span[0]
    cdef Py_ssize_t b
    here.p += model * span.n * task.n_columns * size_of(span.proba_kind)
    run(&here, task, parts, seen, scratch)
    start(total)
    for b in range((span.n + span.block_rows - 1) // span.block_rows):
        merge(total, parts + b)
