# The exact sink: sums that no order, split or thread changes (design O).
#
# A row with weight w, loss l and t = w l adds w, t and, for the moments, w w, w t, t t,
# w w w, w w t, w t t and t t t: doubles, each product rounded once. Without weights w
# is 1, and 3 sums are all: those of l, l l and l l l.

cdef enum:
    # The sums of a ledger.
    OF_W = 0
    OF_T = 1
    OF_WW = 2
    OF_WT = 3
    OF_TT = 4
    OF_WWW = 5
    OF_WWT = 6
    OF_WTT = 7
    OF_TTT = 8
    SUMS = 9

cdef uint64_t MIN_WEIGHT = to_bits(2.0 ** -300)
cdef uint64_t MAX_WEIGHT = to_bits(2.0 ** 300)


cdef struct Ledger:
    # What a thread has found; ledgers merge by addition.
    int64_t digits[SUMS][FLL_DIGITS]
    int64_t n               # rows
    int64_t n_zeros         # of weight zero
    int64_t n_up            # of infinite loss, the weight positive
    int64_t n_down          # and negative
    int64_t n_beyond        # powers of a row beyond the range of doubles


cdef inline int64_t* class_sums(Ledger* ledger, Py_ssize_t code) noexcept nogil:
    # Behind the ledger: for each class the sum of its weights.
    return <int64_t*>(ledger + 1) + code * FLL_DIGITS


cdef inline Py_ssize_t ledger_size(const Task* task) noexcept nogil:
    return sizeof(Ledger) + max(task.n_columns, 2) * FLL_DIGITS * sizeof(int64_t)


cdef void merge_ledgers(
    Ledger* total, Ledger* other, Py_ssize_t n_classes
) noexcept nogil:
    # Digits, counts and classes are integers, one after the other.
    cdef Py_ssize_t i, n = sizeof(Ledger) // sizeof(int64_t) + n_classes * FLL_DIGITS
    settle_ledger(total, n_classes)
    settle_ledger(other, n_classes)
    for i in range(n):
        (<int64_t*>total)[i] += (<int64_t*>other)[i]


cdef void settle_ledger(Ledger* ledger, Py_ssize_t n_classes) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(SUMS):
        settle(ledger.digits[i], FLL_DIGITS)
    for i in range(n_classes):
        settle(class_sums(ledger, i), FLL_DIGITS)


cdef inline int top_of_finite(
    double* loss,           # IN  (n,), OUT 0 where it is infinite
    const double* w,        # IN  (n,) or NULL
    Py_ssize_t n,
    Ledger* ledger,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int top = top_of(loss, n)
    if top <= 1024:
        return top
    for i in range(n):
        if not isfinite(loss[i]):
            if w == NULL or w[i] > 0:
                ledger.n_up += 1
            elif w[i] < 0:
                ledger.n_down += 1
            loss[i] = 0.0
    return top_of(loss, n)


cdef inline void multiply_into(
    const double* x, const double* y, Py_ssize_t n, double* out
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = x[i] * y[i]


cdef int add_rows(
    double* loss,           # (n,) IN, OUT 0 where it is infinite
    const double* w,        # IN  (n,) or NULL
    Py_ssize_t n,           # TILE at most
    Ledger* ledger,
) noexcept nogil:
    # All sums but those of classes. Returns a status, with nothing of use done.
    cdef double t[TILE]
    cdef double square[TILE]
    cdef double rest[TILE]
    cdef uint64_t bits, bad = 0, zeros = 0
    cdef int top = top_of_finite(loss, w, n, ledger), w_top
    cdef int64_t beyond = 0
    cdef Py_ssize_t i
    ledger.n += n
    if w == NULL:
        multiply_into(loss, loss, n, square)
        add_exactly(loss, NULL, n, top, ledger.digits[OF_T], rest)
        # Squares are those of w t t too: a weight of 1 changes nothing.
        beyond += 2 * add_exactly(square, NULL, n, 2 * top, ledger.digits[OF_TT], rest)
        beyond += add_exactly(square, loss, n, 3 * top, ledger.digits[OF_TTT], rest)
        ledger.n_beyond += beyond
        return 0
    for i in range(n):
        bits = to_bits(absolute(w[i]))
        zeros += bits == 0
        bad |= ((bits - MIN_WEIGHT) | (MAX_WEIGHT - bits)) & (0 - <uint64_t>(bits != 0))
    if bad >> 63:
        return _BAD_WEIGHT
    ledger.n_zeros += zeros
    w_top = top_of(w, n)
    multiply_into(w, loss, n, t)
    top += w_top
    if top > FLL_MOST:
        top = top_of(t, n)
        if top > 1024:
            return _BAD_WEIGHT
    add_exactly(w, NULL, n, w_top, ledger.digits[OF_W], rest)
    add_exactly(t, NULL, n, top, ledger.digits[OF_T], rest)
    beyond += add_exactly(w, t, n, w_top + top, ledger.digits[OF_WT], rest)
    multiply_into(w, w, n, square)
    add_exactly(square, NULL, n, 2 * w_top, ledger.digits[OF_WW], rest)
    add_exactly(square, w, n, 3 * w_top, ledger.digits[OF_WWW], rest)
    beyond += add_exactly(square, t, n, 2 * w_top + top, ledger.digits[OF_WWT], rest)
    multiply_into(t, t, n, square)
    beyond += add_exactly(square, NULL, n, 2 * top, ledger.digits[OF_TT], rest)
    # A small weight does not make an infinite square finite.
    w_top += 2 * top if 2 * top <= FLL_MOST else 2 * FLL_MOST
    beyond += add_exactly(square, w, n, w_top, ledger.digits[OF_WTT], rest)
    beyond += add_exactly(square, t, n, 3 * top, ledger.digits[OF_TTT], rest)
    ledger.n_beyond += beyond
    return 0


cdef inline void add_classes(const Call* call, Tile* tile) noexcept nogil:
    # Weights of each class; where there are two, of the second. Labels are read again:
    # what another thread has made of them meanwhile is summed, whatever it is.
    cdef double share[TILE]
    cdef double rest[TILE]
    cdef Py_ssize_t i, j, k = call.task.n_columns, n = tile.n
    cdef uint64_t neither
    cdef View column = call.y
    cdef const double* y
    cdef const double* w = tile.w
    cdef Ledger* ledger = tile.ledger
    if call.task.soft:
        column.in_place &= k == 1
        for j in range(0 if k > 2 else 1, max(k, <Py_ssize_t>2)):
            column.data = call.y.data + (j * column.column if k > 1 else 0)
            y = load_doubles(&column, tile.first, n, 1, tile.items, tile.labels)
            for i in range(n):
                share[i] = y[i] if w == NULL else y[i] * w[i]
            add_exactly(
                share, NULL, n, top_of(share, n), class_sums(ledger, j), rest
            )
    elif call.has_codes:
        for i in range(n):
            j = tile.code[i]
            check(0 <= j < k)
            if w == NULL:
                class_sums(ledger, j)[FLL_UNIT] += 1
            else:
                add_double(w[i], class_sums(ledger, j))
    elif w != NULL:  # the number of ones is counted by the row losses
        y = labels_of(call, tile, &neither)
        add_exactly(w, y, n, top_of(w, n) + top_of(y, n), class_sums(ledger, 1), rest)


cdef int sink_exact(const Call* call, Tile* tile) noexcept nogil:
    cdef int status
    losses_of(call, tile)
    status = add_rows(tile.linear, tile.w, tile.n, tile.ledger)
    if not status:
        add_classes(call, tile)
    return status
