# Pieces, threads, and sums that are merged in order (designs F, G).
# Longer than 300 lines: with the blocks that they cut and the choice of losses.

cdef inline void start(Partial* part) noexcept nogil:
    memset(part, 0, sizeof(Partial))
    part.h = 1.0
    part.bad_sum_from = -1


cdef inline void note(Partial* part, int status, Py_ssize_t first) noexcept nogil:
    # What was found out about the tile that begins with row `first`.
    part.status |= status
    if status & _BAD_ROW_SUM and part.bad_sum_from < 0:
        part.bad_sum_from = first


cdef struct Slot:
    # What a thread has of its own.
    uint8_t* seen           # (n_columns,)
    double* scratch         # (scratch_size,)
    Ledger* ledger          # or NULL
    Groups* groups          # or NULL


cdef void score_rows(
    const Call* call,
    Py_ssize_t cell,
    Py_ssize_t first,       # a block of rows, from the first of them
    Py_ssize_t last,        # to the one after the last
    Partial* part,          # OUT
    Slot* slot,             # IN/OUT
) noexcept nogil:
    cdef Tile tile
    cdef View p = call.p
    cdef int status
    p.data += cell * call.cell
    start(part)
    start_lanes(&tile.lanes)
    tile.first = first
    tile.p = &p
    tile.part = part
    tile.seen = slot.seen
    tile.scratch = slot.scratch
    tile.ledger = slot.ledger
    tile.groups = slot.groups
    while tile.first < last:
        tile.n = min(last - tile.first, <Py_ssize_t>TILE)
        tile.w = weights_of(call, &tile)
        status = call.loss(call, &tile)
        if not status & ~_BAD_ROW_SUM:
            status |= call.sink(call, &tile)
        note(part, status, tile.first)
        if status & ~_BAD_ROW_SUM:
            return
        tile.first += tile.n
    if call.gradient.stream or call.hessian.stream:
        stream_end()
    fold_lanes(&tile.lanes, part)


cdef int complement(
    const Call* call, Py_ssize_t first, Py_ssize_t n, double* other
) noexcept nogil:
    # 1 - y of the rows of a block.
    cdef double items[TILE]
    cdef double buffer[TILE]
    cdef Py_ssize_t i, m, at = 0
    cdef uint64_t neither, bad = 0
    cdef const double* y
    while at < n:
        m = min(n - at, <Py_ssize_t>TILE)
        y = load_labels(
            &call.y, first + at, m, &call.classes, items, buffer, &neither
        )
        for i in range(m):
            bad |= bad_label(y[i])
            other[at + i] = 1.0 - y[i]
        if neither or (bad and exact_targets(y, m, False)):
            return _BAD_LABEL
        at += m
    return 0


cdef int share_block(
    const double* other,    # IN  (n,): 1 - y, of labels that have been looked at
    const double* p,        # IN  (n_models, n) with rows `stride` apart
    Py_ssize_t stride,
    Py_ssize_t n_models,    # SHARED at most
    Py_ssize_t n,
    const Task* task,
    Partial* parts,         # OUT (n_models,)
) noexcept nogil:
    # What score_rows() does with binary_loss(), for several models: the labels of a
    # tile are read once, and memory has several arrays to send. Returns the union of
    # statuses; no losses then.
    cdef double q[SHARED * TILE]
    cdef uint64_t saturated[SHARED]
    cdef Lanes lanes[SHARED]
    cdef Py_ssize_t m, model, first = 0
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
            pad(tile, m, 1.0)
            if saturated[model] >> 63:
                if all_in_unit(p + model * stride + first, m):
                    clip(tile, m, task)
                else:
                    status |= _BAD_PROBA
            multiply_tile(tile, lanes + model)
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


cdef struct Pieces:
    # What run() has to say to the threads.
    const Call* call
    Py_ssize_t first        # block
    Py_ssize_t n            # blocks
    Partial* parts          # (n, n_cells)
    Slot* slots             # (n_threads,)


cdef void run_piece(void* argument, Py_ssize_t piece, int slot) noexcept nogil:
    # One block of one group of cells.
    cdef const Pieces* pieces = <const Pieces*>argument
    cdef const Call* call = pieces.call
    cdef Py_ssize_t group = piece // pieces.n, at = piece % pieces.n
    cdef Py_ssize_t first = (pieces.first + at) * call.block_rows
    cdef Py_ssize_t n = min(call.block_rows, call.n - first)
    cdef Py_ssize_t cell = group * call.n_cells // call.n_groups
    cdef Py_ssize_t last = (group + 1) * call.n_cells // call.n_groups, shares, m
    cdef Partial* parts = pieces.parts + at * call.n_cells
    cdef Slot* own = pieces.slots + slot
    cdef int status = 0
    if call.shared:
        status = complement(call, first, n, own.scratch)
    while cell < last:
        m = 1
        if call.shared:
            shares = (last - cell + SHARED - 1) // SHARED
            m = (last - cell) // shares
            status |= share_block(
                own.scratch, <const double*>(call.p.data + cell * call.cell) + first,
                call.cell // <Py_ssize_t>sizeof(double), m, n, call.task, parts + cell,
            )
            parts[cell].status |= status
        else:
            score_rows(call, cell, first, first + n, parts + cell, own)
        cell += m


cdef void run_pieces_of(Pieces* pieces) noexcept nogil:
    cdef const Call* call = pieces.call
    run_pieces(run_piece, pieces, call.n_groups * pieces.n, call.n_threads)


cdef inline Py_ssize_t n_blocks(const Call* call) noexcept nogil:
    return (call.n + call.block_rows - 1) // call.block_rows


cdef inline bint is_short(const Call* call) noexcept nogil:
    return call.n_cells == 1 and call.n <= call.block_rows


cdef int run(
    Call* call,
    Partial* totals,        # OUT (n_cells,)
    uint8_t* seen,          # IN/OUT (n_threads, n_columns)
    char* ledgers,          # IN/OUT (n_threads, ledger_size), or NULL
    bint release,           # the GIL; of a short call that costs more
) except -1:
    cdef Pieces pieces
    cdef Slot slot
    cdef Py_ssize_t b, cell, i
    cdef double* scratch = NULL
    pieces.call = call
    pieces.first = 0
    pieces.parts = NULL
    pieces.slots = NULL
    for cell in range(call.n_cells):
        start(totals + cell)
    try:
        if call.scratch_size:
            scratch = new_buffer(call.n_threads * call.scratch_size)
            if scratch == NULL:
                raise MemoryError()
        if not release:
            set_slot(&slot, call, 0, seen, scratch, ledgers)
            score_rows(call, 0, 0, call.n, totals, &slot)
            return 0
        pieces.parts = <Partial*>malloc(call.wave * call.n_cells * sizeof(Partial))
        pieces.slots = <Slot*>malloc(call.n_threads * sizeof(Slot))
        if pieces.parts == NULL or pieces.slots == NULL:
            raise MemoryError()
        for i in range(call.n_threads):
            set_slot(pieces.slots + i, call, i, seen, scratch, ledgers)
        while pieces.first < n_blocks(call):
            pieces.n = min(call.wave, n_blocks(call) - pieces.first)
            with nogil:
                run_pieces_of(&pieces)
                for cell in range(call.n_cells):
                    for b in range(pieces.n):
                        merge(totals + cell, pieces.parts + b * call.n_cells + cell)
                for i in range(call.n_threads if ledgers != NULL else 0):
                    settle_ledger(pieces.slots[i].ledger, max(call.task.n_columns, 2))
            PyErr_CheckSignals()
            pieces.first += pieces.n
    finally:
        free(pieces.parts)
        free(pieces.slots)
        free_buffer(scratch)
    return 0


cdef inline void set_slot(
    Slot* slot,
    const Call* call,
    Py_ssize_t i,
    uint8_t* seen,
    double* scratch,
    char* ledgers,
) noexcept nogil:
    slot.seen = seen + i * call.task.n_columns
    slot.scratch = scratch + i * call.scratch_size
    slot.ledger = NULL
    slot.groups = NULL
    if ledgers != NULL:
        slot.ledger = <Ledger*>(ledgers + i * ledger_size(call.task))


cdef inline int few_enough(int n_threads, Py_ssize_t size) noexcept nogil:
    # Threads that do not need more than SCRATCH_VALUES for buffers of that size.
    return <int>max(1, min(<Py_ssize_t>n_threads, SCRATCH_VALUES // size))


cdef inline Py_ssize_t group_rows(Py_ssize_t n_columns) noexcept nogil:
    return max(8, min(<Py_ssize_t>MAX_GROUP, GROUP_VALUES // n_columns // 8 * 8))


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
    task.group = group_rows(n_columns)


cdef void prepare(Call* call, int n_threads) noexcept nogil:
    # Choose loss and sink, and cut rows and cells into pieces.
    cdef const Task* task = call.task
    cdef Py_ssize_t k = task.n_columns
    cdef bint computed = call.derive or task.from_logits or task.targets
    call.is_excess = task.from_logits
    call.has_linear = task.from_logits or task.targets
    call.has_factor = task.from_logits or not task.targets
    if call.check_only and (task.from_logits or not task.soft):
        call.loss = check_logits if task.from_logits else (
            binary_loss if k <= 2 else matrix_loss
        )
    elif task.from_logits and k == 1:
        call.loss = logit_of_target_loss if task.targets else logit_loss
    elif task.from_logits:
        call.loss = softmax_loss
    elif task.targets:
        call.loss = target_loss if k == 1 else matrix_of_targets_loss
    else:
        call.loss = binary_loss if k <= 2 else matrix_loss
    if call.check_only:
        call.sink = sink_nothing
    elif call.by_group:
        call.sink = sink_groups
    elif call.exact:
        call.sink = sink_exact
    elif call.rows.view.data != NULL:
        call.sink = sink_rows
    elif call.w.data != NULL:
        call.sink = sink_weighted
    elif call.is_excess or task.use_product:
        call.sink = sink_products
    else:
        call.sink = sink_losses
    call.has_codes = not task.soft and k > 1 and call.loss != binary_loss
    # Derivatives of probabilities take labels that are doubles.
    call.as_bytes = task.from_logits or not call.derive
    call.common_codes = (
        kind_of_codes(&call.y) >= 0
        and call.y.row == call.y.size
        and call.y.aligned
        and not call.y.swapped
        and call.classes.n == 0
        and call.as_bytes
    )
    if call.classes.n > 0:
        call.as_bytes &= call.y.size < 8
    else:
        call.as_bytes &= not call.y.in_place
    call.block_rows = block_rows(task)
    n_threads = max(1, n_threads)
    # Few models are shared out by their blocks.
    call.n_groups = n_threads if call.n_cells // 2 >= n_threads else call.n_cells
    call.wave = max(
        1, min(max(WAVE // call.n_cells, <Py_ssize_t>1), n_blocks(call))
    )
    call.shared = (
        call.n_cells > 1
        and call.loss == binary_loss
        and k == 1
        and call.sink == sink_products
        and call.p.in_place
    )
    call.scratch_size = 0
    if k > 1 and computed:
        call.scratch_size = COMPUTED * k * task.group
    if k > 1 and not call.in_place and (computed or k > 2):
        call.scratch_size = AREAS * k * task.group
    if call.shared:
        call.scratch_size = call.block_rows
    call.n_threads = <int>max(
        <Py_ssize_t>1, min(<Py_ssize_t>n_threads, call.wave * call.n_groups)
    )
    if call.scratch_size:
        call.n_threads = few_enough(call.n_threads, call.scratch_size)


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
    const Partial* total, Py_ssize_t k, Py_ssize_t n_rows, const uint8_t* seen
) noexcept nogil:
    # Different labels among the rows.
    cdef Py_ssize_t j, n = 0
    if k == 1:
        return (total.n_ones > 0) + (total.n_ones < n_rows)
    for j in range(k):
        n += seen[j] != 0
    return n
