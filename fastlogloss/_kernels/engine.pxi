# Blocks, threads, and the object that holds a mergeable state (designs F, G).

cdef inline void start(Partial* part) noexcept nogil:
    memset(part, 0, sizeof(Partial))
    part.h = 1.0
    part.bad_sum_from = -1


cdef inline void note(Partial* part, int status, Py_ssize_t first) noexcept nogil:
    # What was found out about the tile that begins with row `first`.
    part.status |= status
    if status & _BAD_ROW_SUM and part.bad_sum_from < 0:
        part.bad_sum_from = first


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
    cdef Lanes lanes
    cdef Py_ssize_t i, first = 0, m
    cdef int status
    start(part)
    start_lanes(&lanes)
    while first < n:
        m = TILE if n - first > TILE else n - first
        status = load(
            y + first, p + first * task.n_columns, m, task, q, &part.n_ones, seen
        )
        note(part, status, first)
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
                multiply_plain_tile(q, &lanes)
        first += m
    fold_lanes(&lanes, part)


cdef inline int complement(
    const label_t* y,       # IN  (n,)
    Py_ssize_t n,
    double* other,          # OUT (n,): 1 - y
) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t bad = 0
    for i in range(n):
        bad |= bad_target(y[i], False)
        other[i] = 1.0 - <double>y[i]
    return exact_targets(y, n, False) if bad else 0


cdef int plain_block(
    const double* other,    # IN  (n,): 1 - y, of labels that have been looked at
    const double* p,        # IN  (n_models, n) with rows `stride` apart
    Py_ssize_t stride,
    Py_ssize_t n_models,    # SHARED at most
    Py_ssize_t n,
    const Task* task,
    Partial* parts,         # OUT (n_models,)
) noexcept nogil:
    # What block() does with one column, product and no weights, for several models: the
    # labels of a tile are read once, and memory has several arrays to send. Returns the
    # union of statuses; no losses then.
    cdef double q[SHARED * TILE]
    cdef uint64_t saturated[SHARED]
    cdef Lanes lanes[SHARED]
    cdef Py_ssize_t i, m, model, first = 0
    cdef Checks checks
    cdef double* tile
    cdef int status = 0
    for model in range(n_models):
        start(parts + model)
        start_lanes(lanes + model)
    while first < n:
        m = min(n - first, <Py_ssize_t>TILE)
        subtract_rows(
            other + first, p + first, stride, n_models, m,
            task.inner_low, task.inner_high, q, TILE, saturated,
        )
        for model in range(n_models):
            tile = q + model * TILE
            for i in range(m, TILE):
                tile[i] = 1.0
            if saturated[model] >> 63:
                start_checks(&checks)
                checks.saturated = saturated[model]
                status |= finish_checks(
                    p + model * stride + first, m, m, task, &checks, True, tile
                )
            multiply_plain_tile(tile, lanes + model)
        if status:
            return status
        first += m
    for model in range(n_models):
        fold_lanes(lanes + model, parts + model)
    return 0


cdef void merge(Partial* total, const Partial* part) noexcept nogil:
    # total <- total then part: in order, since rounding does not commute.
    cdef double h[2]
    cdef double l[2]
    h[0] = total.h
    h[1] = part.h
    l[0] = total.l
    l[1] = part.l
    multiply_halves(h, l, 1)
    total.exponent += part.exponent + normalise(h, l)
    total.h = h[0] + l[0]
    total.l = l[0] - (total.h - h[0])
    add_compensated(&total.loss, &total.loss_tail, part.loss)
    total.loss_tail += part.loss_tail
    add_compensated(&total.weight, &total.weight_tail, part.weight)
    total.weight_tail += part.weight_tail
    total.signs |= part.signs
    total.n_ones += part.n_ones
    note(total, part.status, part.bad_sum_from)


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


cdef void block_typed(
    const label_t* y,
    const proba_t* p,
    const Span* span,
    const Task* task,
    Py_ssize_t b,           # number of the block
    Partial* part,          # OUT
    uint8_t* seen,          # IN/OUT (n_columns,)
    double* scratch,        # (scratch_size(),)
) noexcept nogil:
    cdef Py_ssize_t first = b * span.block_rows, k = task.n_columns
    cdef Py_ssize_t n = min(span.block_rows, span.n - first)
    cdef const double* w = NULL if span.w == NULL else span.w + first
    y += first * (k if task.soft else 1)
    p += first * k
    first += span.first
    if task.general:
        score_block(y, p, w, n, task, part, seen, scratch, &span.out, first)
    elif span.out.rows == NULL:
        block(y, p, w, n, task, part, seen, NULL)
    else:
        block(y, p, w, n, task, part, seen, span.out.rows + first)
    if part.bad_sum_from >= 0:
        part.bad_sum_from += first


cdef void block_of_labels(
    const proba_t* p,
    const Span* span,
    const Task* task,
    Py_ssize_t b,
    Partial* part,
    uint8_t* seen,
    double* scratch,
) noexcept nogil:
    if span.label_kind == FLOAT64:
        block_typed(<const double*>span.y, p, span, task, b, part, seen, scratch)
    elif span.label_kind == INT64:
        block_typed(<const int64_t*>span.y, p, span, task, b, part, seen, scratch)
    else:
        block_typed(<const uint8_t*>span.y, p, span, task, b, part, seen, scratch)


cdef void run_block(
    const Span* span,
    const Task* task,
    Py_ssize_t b,
    Partial* part,
    uint8_t* seen,
    double* scratch,
) noexcept nogil:
    if span.proba_kind == FLOAT64:
        block_of_labels(<const double*>span.p, span, task, b, part, seen, scratch)
    else:
        block_of_labels(<const float*>span.p, span, task, b, part, seen, scratch)


cdef void run(
    const Span* span,
    const Task* task,
    Partial* parts,         # OUT (n_blocks,)
    uint8_t* seen,          # IN/OUT (n_threads, n_columns)
    double* scratch,        # (n_threads, scratch_size())
) noexcept nogil:
    cdef Blocks blocks
    blocks.span = span
    blocks.task = task
    blocks.parts = parts
    blocks.seen = seen
    blocks.scratch = scratch
    run_pieces(run_one_block, &blocks, n_blocks(span), span.n_threads)


cdef struct Blocks:
    # What run() has to say to the threads.
    const Span* span
    const Task* task
    Partial* parts
    uint8_t* seen
    double* scratch


cdef void run_one_block(void* argument, Py_ssize_t b, int slot) noexcept nogil:
    cdef const Blocks* blocks = <const Blocks*>argument
    cdef Py_ssize_t k = blocks.task.n_columns
    run_block(
        blocks.span,
        blocks.task,
        b,
        blocks.parts + b,
        blocks.seen + slot * k,
        blocks.scratch + slot * scratch_size(k),
    )


cdef inline Py_ssize_t n_blocks(const Span* span) noexcept nogil:
    return (span.n + span.block_rows - 1) // span.block_rows


cdef inline Py_ssize_t scratch_size(Py_ssize_t n_columns) noexcept nogil:
    return 4 * n_columns * group_rows(n_columns)


cdef inline int few_enough(int n_threads, Py_ssize_t size) noexcept nogil:
    # Threads that do not need more than SCRATCH_VALUES for buffers of that size.
    return <int>max(1, min(<Py_ssize_t>n_threads, SCRATCH_VALUES // size))


cdef inline bint needs_scratch(const Task* task) noexcept nogil:
    # Rows of more than one column are worked on in buffers of their width.
    return task.general and task.n_columns > 1


cdef inline Py_ssize_t group_rows(Py_ssize_t n_columns) noexcept nogil:
    return max(8, min(<Py_ssize_t>MAX_GROUP, GROUP_VALUES // n_columns // 8 * 8))


cdef void skip(Span* span, Py_ssize_t n, const Task* task) noexcept nogil:
    cdef Py_ssize_t k = task.n_columns
    span.y += n * (k if task.soft else 1) * (1 if span.label_kind == UINT8 else 8)
    span.p += n * k * (4 if span.proba_kind == FLOAT32 else 8)
    if span.w != NULL:
        span.w += n
    span.first += n


cdef void start_task(
    Task* task, Py_ssize_t n_columns, double low, double high, double tolerance
) noexcept nogil:
    # Twice as far from the ends as the clip, so that it holds for 1 - p too, however
    # 1 - p is rounded, and never so close to 1 that 1 - p can be 0. Where nothing is
    # left between, one half still is: outside() needs low <= high.
    cdef double inner = min(2.0 * low, 0.5)
    memset(task, 0, sizeof(Task))
    task.n_columns = n_columns
    task.low = low
    task.high = high
    task.inner_low = to_bits(inner)
    task.inner_high = to_bits(1.0 - max(inner, 2.0**-52))
    # A probability on the edge is clipped; where nothing can be, there is no edge.
    task.flat_low = low if low > 0 else -1.0
    task.flat_high = high if high < 1 else 2.0
    task.tolerance = tolerance
    task.use_product = low >= MIN_FACTOR
    task.target_slope = 1.0
    task.target_tolerance = 1e-6
    task.row_scale = 1.0
    task.group = group_rows(n_columns)
    task.ahead = FLL_AHEAD
    task.general = False


cdef inline bint is_general(const Task* task) noexcept nogil:
    return task.from_logits or task.soft or task.target_offset != 0


cdef inline Py_ssize_t block_rows(const Task* task) noexcept nogil:
    # At least two columns' worth, so that (n,) and (n, 2) are cut alike.
    cdef Py_ssize_t rows = BLOCK_VALUES // max(task.n_columns, 2)
    cdef Py_ssize_t unit = TILE if rows >= TILE else 8
    return max(rows // unit, 1) * unit


cdef double loss_of(const Partial* total, const Task* task) noexcept nogil:
    cdef double h = total.h + total.l
    cdef double l = total.l - (h - total.h)
    cdef double log_q = log_product(h, l, <double>total.exponent)
    if not task.from_logits:
        log_q = -log_q
    return (total.loss + log_q) + total.loss_tail


cdef inline bint in_range(
    double loss, double weight, Py_ssize_t n, const Task* task, bint weighted
) noexcept nogil:
    # Whether nothing was lost beyond the range of doubles. Below MIN_SUM a row, terms
    # that are no normal numbers could be more than 2^-55 off their sum.
    if not (weighted or task.from_logits):
        return True
    return (
        isfinite(weight)
        and weight != 0
        and isfinite(loss)
        and absolute(loss) >= n * MIN_SUM
    )


cdef Py_ssize_t count_seen(
    const Partial* total,
    const Task* task,
    Py_ssize_t n_rows,
    const uint8_t* seen,    # (n_threads, n_columns)
    int n_threads,
) noexcept nogil:
    cdef Py_ssize_t i, j, k = task.n_columns, n = 0
    cdef bint marked = task.from_logits or (
        task.target_offset != 0 and not task.check_only
    )
    if k == 1 or (k == 2 and not marked):
        return (total.n_ones > 0) + (total.n_ones < n_rows)
    for j in range(k):
        for i in range(n_threads):
            if seen[i * k + j]:
                n += 1
                break
    return n


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
    # By width: a type has two numbers where long and long long are of one width, and
    # another system has the same number for two names.
    if cnp.PyTypeNum_ISSIGNED(number) and cnp.PyArray_ITEMSIZE(a) == 8:
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


cdef bint _is_vector(cnp.ndarray a, Py_ssize_t n) noexcept:
    return (
        _is_plain(a, 1)
        and cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE
        and cnp.PyArray_DIM(a, 0) == n
    )


cdef bint _read(
    Span* span, const Task* task, cnp.ndarray y, cnp.ndarray p, cnp.ndarray w
) noexcept:
    # One block after the other, without outputs. False for arrays that cannot be read.
    cdef Py_ssize_t k = task.n_columns, n
    cdef int ndim = 1 if k == 1 else 2
    if not (_is_plain(y, ndim if task.soft else 1) and _is_plain(p, ndim)):
        return False
    n = cnp.PyArray_DIM(y, 0)
    if cnp.PyArray_DIM(p, 0) != n or (k > 1 and cnp.PyArray_DIM(p, 1) != k):
        return False
    if task.soft and k > 1 and cnp.PyArray_DIM(y, 1) != k:
        return False
    if w is not None and not _is_vector(w, n):
        return False
    memset(span, 0, sizeof(Span))
    span.label_kind = _label_kind(y)
    span.proba_kind = _proba_kind(p)
    if span.label_kind < 0 or span.proba_kind < 0:
        return False
    if task.soft and span.label_kind != FLOAT64:
        return False
    span.y = cnp.PyArray_BYTES(y)
    span.p = cnp.PyArray_BYTES(p)
    span.w = NULL if w is None else <const double*>cnp.PyArray_DATA(w)
    span.n = n
    span.block_rows = block_rows(task)
    span.n_threads = 1
    return True


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


cdef Output _output(cnp.ndarray a) noexcept:
    cdef Output out
    out.data = cnp.PyArray_BYTES(a)
    out.kind = _proba_kind(a)
    out.stream = out.kind == FLOAT64 and cnp.PyArray_NBYTES(a) >= STREAM_BYTES
    return out


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
    target_tolerance : float
        Rows of targets whose sum is further than this from 1 set ``BAD_TARGET``.
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
        double target_tolerance=1e-6,
    ):
        if n_columns < 1:
            raise ValueError(f"n_columns must be at least 1, got {n_columns}")
        self.start(n_columns, low, high, tolerance)
        self.task.from_logits = from_logits
        self.task.soft = soft
        self.task.target_slope = 1.0 - smoothing
        self.task.target_offset = smoothing / max(n_columns, 2)
        self.task.target_tolerance = target_tolerance
        self.task.use_product |= from_logits

    cdef int start(
        self, Py_ssize_t n_columns, double low, double high, double tolerance
    ) except -1:
        free(self.seen)
        self.seen_rows = 1
        self.seen = <uint8_t*>calloc(n_columns, 1)
        if self.seen == NULL:
            raise MemoryError()
        start_task(&self.task, n_columns, low, high, tolerance)
        start(&self.total)
        self.n_rows = 0
        self.weighted = False
        return 0

    def __dealloc__(self):
        free(self.seen)

    @property
    def block_rows(self):
        """Rows of a block; every call of `add` but the last takes a multiple of it."""
        return block_rows(&self.task)

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
        double row_scale=1.0,
    ):
        """Add rows; return False, having done nothing, for arrays it cannot read.

        It reads C-contiguous, aligned, native arrays of equal length: ``y`` float64,
        int64, uint8 or bool codes (targets: float64); ``p`` float64 or float32; ``w``
        float64. With ``rows`` (float64) the rows' losses are written there and not
        summed; from logits times ``row_scale``, so that they may be doubles where they
        were none. ``gradient`` and ``hessian`` (float64 or float32, shaped like ``p``)
        receive derivatives, times ``scale``. With ``check_only`` all is validated but,
        except for soft targets of probabilities, nothing computed.
        """
        cdef Span span
        if self.task.n_columns == 0:
            raise ValueError("a LossState without its parameters")
        if not _read(&span, &self.task, y, p, w):
            return False
        if rows is not None:
            if not _is_vector(rows, span.n) or not cnp.PyArray_ISWRITEABLE(rows):
                return False
            span.out.rows = <double*>cnp.PyArray_DATA(rows)
        if gradient is not None:
            if not _is_output(gradient, p):
                return False
            span.out.gradient = _output(gradient)
            if hessian is not None:
                if not _is_output(hessian, p):
                    return False
                span.out.hessian = _output(hessian)
        self.task.general = (
            is_general(&self.task) or gradient is not None or check_only
        )
        self.task.scale = scale
        self.task.hessian_factor = hessian_factor
        self.task.check_only = check_only
        self.task.row_scale = row_scale
        if gradient is not None:
            self.task.ahead = FLL_AHEAD_OF_LOGITS
        elif (w is not None or rows is not None) and not check_only:
            self.task.ahead = FLL_AHEAD_OF_LOGS
        else:
            self.task.ahead = FLL_AHEAD
        if span.n == 0:
            return True
        cdef bint sums_were_good = self.total.bad_sum_from < 0
        cdef Py_ssize_t n_rows_before = self.n_rows
        self.n_rows += span.n  # which says later how many rows are left
        self.weighted |= w is not None
        if span.n <= span.block_rows:  # it costs more to release the GIL
            self._add_block(&span)
        else:
            guard = hold(y, p, w, rows, gradient, hessian)
            self._add_blocks(&span, n_threads)
            del guard
        if sums_were_good and self.total.bad_sum_from >= 0:
            self.total.bad_sum_from += n_rows_before
        return True

    cdef double* _scratch(self, int n_threads) except? NULL:
        cdef double* scratch
        if not needs_scratch(&self.task):
            return NULL
        scratch = new_buffer(n_threads * scratch_size(self.task.n_columns))
        if scratch == NULL:
            raise MemoryError()
        return scratch

    cdef int _add_block(self, const Span* span) except -1:
        cdef Partial part
        cdef double* scratch = self._scratch(1)
        run_block(span, &self.task, 0, &part, self.seen, scratch)
        merge(&self.total, &part)
        free_buffer(scratch)
        return 0

    cdef int _add_blocks(self, Span* span, int n_threads) except -1:
        cdef Py_ssize_t rows = span.block_rows, n = span.n, b
        cdef Py_ssize_t wave = min(n_blocks(span), <Py_ssize_t>WAVE)
        cdef Partial* parts = NULL
        cdef double* scratch = NULL
        span.n_threads = max(1, min(n_threads, wave))
        if needs_scratch(&self.task):
            span.n_threads = few_enough(
                span.n_threads, scratch_size(self.task.n_columns)
            )
        self._widen(span.n_threads)
        try:
            scratch = self._scratch(span.n_threads)
            parts = <Partial*>malloc(wave * sizeof(Partial))
            if parts == NULL:
                raise MemoryError()
            while n > 0:
                span.n = min(n, wave * rows)
                with nogil:
                    run(span, &self.task, parts, self.seen, scratch)
                    for b in range(n_blocks(span)):
                        merge(&self.total, parts + b)
                PyErr_CheckSignals()
                n -= span.n
                skip(span, span.n, &self.task)
        finally:
            free(parts)
            free_buffer(scratch)
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
    def bad_sum_from(self):
        """A row before which all sums are within the tolerance; -1 if all are."""
        return self.total.bad_sum_from

    @property
    def loss(self):
        """Sum of the losses (weighted, if weights were given), in nats."""
        return loss_of(&self.total, &self.task)

    @property
    def weight(self):
        """Sum of the weights; the number of rows where there are none."""
        if self.weighted:
            return self.total.weight + self.total.weight_tail
        return <double>self.n_rows

    @property
    def in_range(self):
        """Whether the sums lost nothing beyond the range of doubles."""
        cdef double loss = loss_of(&self.total, &self.task)
        cdef double weight = self.total.weight + self.total.weight_tail
        if not self.weighted:
            weight = self.n_rows
        return in_range(loss, weight, self.n_rows, &self.task, self.weighted)

    @property
    def signed(self):
        """Whether some weight is negative: their sum may be mostly rounding then."""
        return self.total.signs >> 63 != 0

    @property
    def n_classes_seen(self):
        """Number of different labels among the rows."""
        return count_seen(
            &self.total, &self.task, self.n_rows, self.seen, self.seen_rows
        )


def sum_weights(cnp.ndarray w not None):
    """Sum of plain float64 weights, what it was rounded by, and the sum of sizes.

    For up to 2^14 weights the two are their sum within 2^-84 of the third.
    """
    cdef double total, tail, size
    cdef const double* first = <const double*>cnp.PyArray_DATA(w)
    if not (_is_plain(w, 1) and cnp.PyArray_TYPE(w) == cnp.NPY_DOUBLE):
        raise TypeError("weights must be a plain array of float64")
    sum_compensated(first, cnp.PyArray_DIM(w, 0), &total, &tail, &size)
    return total, tail, size


def worst_row(cnp.ndarray p not None):
    """The first row of a matrix whose sum is furthest from 1, and that sum.

    None for one that is not plain.
    """
    cdef Py_ssize_t row, n, k
    cdef double total
    cdef const char* data = cnp.PyArray_BYTES(p)
    if not _is_plain(p, 2) or _proba_kind(p) < 0:
        return None
    n, k = cnp.PyArray_DIM(p, 0), cnp.PyArray_DIM(p, 1)
    cdef bint is_double = _proba_kind(p) == FLOAT64
    guard = hold(p)
    with nogil:
        if is_double:
            worst_sum(<const double*>data, n, k, &row, &total)
        else:
            worst_sum(<const float*>data, n, k, &row, &total)
    del guard
    return row, total


def mean_loss(y, p, double low, double tolerance):
    """Mean loss of a few rows, the short way.

    None, with nothing else done, unless `y` and `p` are short plain arrays, `p`
    float64, that hold all their classes and nothing to clip, warn or stumble over.
    Everything here is also done, at length, by the callers of `LossState`.
    """
    cdef Task task
    if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
        return None
    cdef int ndim = cnp.PyArray_NDIM(p)
    cdef Py_ssize_t k = cnp.PyArray_DIM(p, 1) if ndim == 2 else 1
    if k < ndim:
        return None
    start_task(&task, k, low, 1.0 - low, tolerance)
    return _short_mean(&task, y, p, None, True)


def mean_like(LossState like, y, p, w):
    """Mean loss of a few rows by the parameters of another state, the short way.

    None, with nothing else done, unless the arrays are plain and short, nothing is
    wrong with them or the probabilities float64 or logits, and sums are in range.
    """
    if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray:
        return None
    cdef Task task = like.task
    if task.n_columns == 0:
        raise ValueError("a LossState without its parameters")
    task.general = is_general(&task)
    return _short_mean(&task, y, p, w, False)


cdef object _short_mean(
    const Task* task, cnp.ndarray y, cnp.ndarray p, cnp.ndarray w, bint all_classes
):
    # One block, with the GIL: no object is made, nor a thread.
    cdef Span span
    cdef Partial part
    cdef uint8_t seen[MAX_SHORT]
    cdef double* scratch = NULL
    cdef double loss, weight
    cdef Py_ssize_t k = task.n_columns
    if k > MAX_SHORT or cnp.PyArray_TYPE(p) != cnp.NPY_DOUBLE:
        return None
    if not _read(&span, task, y, p, w) or span.n == 0 or span.n > span.block_rows:
        return None
    memset(seen, 0, k)
    if needs_scratch(task):
        scratch = new_buffer(scratch_size(k))
        if scratch == NULL:
            raise MemoryError()
    run_block(&span, task, 0, &part, seen, scratch)
    free_buffer(scratch)
    if part.status or part.signs >> 63:
        return None
    if all_classes and count_seen(&part, task, span.n, seen, 1) != max(k, 2):
        return None
    loss = loss_of(&part, task)
    weight = span.n if w is None else part.weight + part.weight_tail
    if not in_range(loss, weight, span.n, task, w is not None):
        return None
    return loss / weight


def many_like(
    LossState like,
    cnp.ndarray y not None,
    cnp.ndarray scores not None,
    cnp.ndarray w,
    cnp.ndarray losses not None,
    cnp.ndarray statuses not None,
    int n_threads,
):
    """Mean loss of each of several models by the parameters of another state.

    ``scores`` are those of `LossState.add` with the models as first axis. ``losses``
    (float64) and ``statuses`` (int64) receive one number for each; but for
    ``BAD_ROW_SUM``, the status of one may be that of a neighbour. False, with nothing
    of use done, where an array is not plain or a sum is beyond the range of doubles.
    """
    cdef Many many
    cdef Py_ssize_t n_models, first = 0, n, b, model
    cdef Py_ssize_t k = like.task.n_columns
    cdef uint8_t* seen = NULL
    cdef double* scratch = NULL
    cdef Partial* totals = NULL
    cdef Partial* parts
    cdef double loss, weight
    cdef bint good = True
    if k == 0:
        raise ValueError("a LossState without its parameters")
    many.task = like.task
    many.task.general = is_general(&like.task)
    if not _is_plain(scores, 2 if k == 1 else 3):
        return False
    n_models = cnp.PyArray_DIM(scores, 0)
    if n_models == 0:
        return False
    if not (_read(&many.span, &many.task, y, scores[0], w) and many.span.n):
        return False
    if not (_is_vector(losses, n_models) and cnp.PyArray_ISWRITEABLE(losses)):
        return False
    if not (_is_plain(statuses, 1) and _label_kind(statuses) == INT64):
        return False
    if statuses.shape[0] != n_models or not cnp.PyArray_ISWRITEABLE(statuses):
        return False
    start_many(&many, n_models, n_threads)
    guard = hold(y, scores, w, losses, statuses)
    try:
        seen = <uint8_t*>calloc(many.span.n_threads, k)
        scratch = new_buffer(many.span.n_threads * many.scratch_size)
        totals = <Partial*>malloc((many.wave + 1) * n_models * sizeof(Partial))
        if seen == NULL or scratch == NULL or totals == NULL:
            raise MemoryError()
        parts = totals + n_models
        for model in range(n_models):
            start(totals + model)
        while first < n_blocks(&many.span):
            n = min(many.wave, n_blocks(&many.span) - first)
            with nogil:
                run_many(&many, first, n, parts, seen, scratch)
                for model in range(n_models):
                    for b in range(n):
                        merge(totals + model, parts + b * n_models + model)
            PyErr_CheckSignals()
            first += n
        for model in range(n_models):
            (<int64_t*>cnp.PyArray_DATA(statuses))[model] = totals[model].status
            loss = loss_of(totals + model, &many.task)
            weight = many.span.n
            if w is not None:
                weight = totals[model].weight + totals[model].weight_tail
            good &= in_range(loss, weight, many.span.n, &many.task, w is not None)
            good &= totals[model].signs >> 63 == 0
            (<double*>cnp.PyArray_DATA(losses))[model] = loss / weight
    finally:
        free(seen)
        free_buffer(scratch)
        free(totals)
    del guard
    return good


cdef struct Many:
    # Several models scored on the same rows.
    Task task
    Span span               # of the first of them
    Py_ssize_t n_models
    Py_ssize_t n_groups     # of models: a block of a group is one piece of work
    Py_ssize_t wave         # blocks between two looks at pending signals
    Py_ssize_t scratch_size
    bint plain              # plain_block() does it


cdef void start_many(Many* many, Py_ssize_t n_models, int n_threads) noexcept nogil:
    cdef Py_ssize_t k = many.task.n_columns
    n_threads = max(1, n_threads)
    many.n_models = n_models
    # Few models are shared out by their blocks.
    many.n_groups = n_threads if n_models // 2 >= n_threads else n_models
    many.wave = min(max(WAVE // n_models, 1), n_blocks(&many.span))
    many.span.n_threads = min(n_threads, many.wave * many.n_groups)
    many.scratch_size = max(scratch_size(k), many.span.block_rows)
    many.span.n_threads = few_enough(many.span.n_threads, many.scratch_size)
    many.plain = (
        k == 1
        and many.span.w == NULL
        and many.span.proba_kind == FLOAT64
        and many.task.use_product
        and not many.task.general
    )


cdef void run_many(
    const Many* many,
    Py_ssize_t first,       # block
    Py_ssize_t n,           # blocks
    Partial* parts,         # OUT (n, n_models)
    uint8_t* seen,          # IN/OUT (n_threads, n_columns)
    double* scratch,        # (n_threads, scratch_size)
) noexcept nogil:
    cdef Pieces pieces
    pieces.many = many
    pieces.first = first
    pieces.n = n
    pieces.parts = parts
    pieces.seen = seen
    pieces.scratch = scratch
    run_pieces(run_one_piece, &pieces, many.n_groups * n, many.span.n_threads)


cdef struct Pieces:
    # What run_many() has to say to the threads.
    const Many* many
    Py_ssize_t first
    Py_ssize_t n
    Partial* parts
    uint8_t* seen
    double* scratch


cdef void run_one_piece(void* argument, Py_ssize_t piece, int slot) noexcept nogil:
    cdef const Pieces* pieces = <const Pieces*>argument
    cdef const Many* many = pieces.many
    run_piece(
        many,
        pieces.first + piece % pieces.n,
        piece // pieces.n,
        pieces.parts + piece % pieces.n * many.n_models,
        pieces.seen + slot * many.task.n_columns,
        pieces.scratch + slot * many.scratch_size,
    )


cdef void run_piece(
    const Many* many,
    Py_ssize_t b,           # block
    Py_ssize_t group,
    Partial* parts,         # OUT (n_models,), those of the group
    uint8_t* seen,          # IN/OUT (n_columns,)
    double* scratch,        # (scratch_size,)
) noexcept nogil:
    cdef Span here = many.span
    cdef Py_ssize_t stride = here.n * many.task.n_columns * size_of(here.proba_kind)
    cdef Py_ssize_t model = group * many.n_models // many.n_groups
    cdef Py_ssize_t last = (group + 1) * many.n_models // many.n_groups
    cdef Py_ssize_t first = b * here.block_rows
    cdef Py_ssize_t n = min(here.block_rows, here.n - first), n_models, shares
    cdef int status = 0
    here.p += model * stride
    if many.plain:
        status = other_labels(&here, first, n, scratch)
    while model < last:
        if many.plain:
            shares = (last - model + SHARED - 1) // SHARED
            n_models = (last - model) // shares
            status |= plain_block(
                scratch, <const double*>here.p + first, here.n, n_models, n,
                &many.task, parts + model,
            )
            parts[model].status |= status
        else:
            n_models = 1
            run_block(&here, &many.task, b, parts + model, seen, scratch)
        here.p += n_models * stride
        model += n_models


cdef int other_labels(
    const Span* span, Py_ssize_t first, Py_ssize_t n, double* other
) noexcept nogil:
    if span.label_kind == FLOAT64:
        return complement(<const double*>span.y + first, n, other)
    if span.label_kind == INT64:
        return complement(<const int64_t*>span.y + first, n, other)
    return complement(<const uint8_t*>span.y + first, n, other)
