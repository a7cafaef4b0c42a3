# The sink of groups: the exact sums of each of many groups (exact.h). Longer than 300
# lines: the layout of a cell is all there is, and nobody else knows it.
#
# A cell holds the sums of a group, in the digits of exact.h: counts, then quads of four
# sums each, digit by digit, then the classes, where there are more than two. A quad has
# the digits that data have needed so far, its window, the highest first, and all cells
# are alike. Where a tile needs more digits, nothing of it is added, and the caller
# makes room.
#
# The numbers of a tile are cut into digits, one after the other, and each row adds four
# of them at once to its cell: 12 additions of a row become 3. Of many groups the time
# is that of lines of memory: a row without weights mostly touches counts and three
# digits, two lines. Rejected: a sort of rows by group, and tables for each thread: a
# million groups are more than caches hold.

cdef enum:
    # Counts of a cell.
    N_ROWS = 0
    N_UP = 1                # of infinite loss, the weight positive
    N_DOWN = 2              # and negative
    N_BEYOND = 3            # powers of a row beyond the range of doubles
    LANES_OF_CELL = 4       # and what a quad has of sums

cdef enum:
    # Quads of a cell and what they sum; without weights the first is all.
    OF_LOSS = 0             # t, t t, t t t; of two classes the weight of the second
    OF_WEIGHT = 1           # w, w w, w w w; 1 where w is not zero
    OF_BOTH = 2             # w t, w w t, w t t
    OF_CLASSES = 3          # no quad: the weight of each of more classes
    WINDOWS = 4
    BIG_CELLS = 1 << 17     # int64 in cells that the second-level cache does not hold
    OWN_BYTES = 1 << 20     # in cells of all threads that help
    SHARE_ROWS = 2048       # that a thread adds without a look at the others
    MAX_CUT = 900           # numbers below 2^MAX_CUT are cut
    HEADROOM = 62 - 40      # bits above a number in its last digit, of 2^40 rows

cdef enum:
    _NEEDS_ROOM = 64


cdef struct Window:
    Py_ssize_t low          # first digit
    Py_ssize_t n            # digits; 0: nothing is kept
    Py_ssize_t at           # of the first of them in a cell


cdef struct Groups:
    int64_t* cells          # (n_groups, size)
    Py_ssize_t size         # int64 in a cell
    Py_ssize_t n_groups
    const int64_t* numbers  # (n,): the group of each row; or NULL, and
    View keys               # (n,): whole numbers of which
    const int32_t* window   # (span,) holds those from `base` on: group + 1, or 0
    uint64_t base
    uint64_t span
    double sign             # 1, or -1: rows are taken away
    Window windows[WINDOWS]
    Py_ssize_t need_low[WINDOWS]  # OUT digits that a tile needs, where it
    Py_ssize_t need_high[WINDOWS]  # needs more; from need_low up to here
    Py_ssize_t n_done       # OUT row up to which they have been added
    bint is_begun           # cells of a thread that helps: they are zeros, or sums


cdef struct Range:
    # Of what is not zero: 2^low <= |x| < 2^high. Nothing is: high <= low. All bits are
    # at 2^(low - below) and above.
    int low
    int high
    int below


cdef struct Quad:
    # Four columns of a tile, and where their bits are.
    double x[4][TILE]
    Range bits


cdef inline Range nothing() noexcept nogil:
    cdef Range found
    found.low = found.high = 0
    found.below = 52
    return found


cdef inline Range range_of(const double* x, Py_ssize_t n) noexcept nogil:
    cdef Range found = nothing()
    exponents(x, n, &found.low, &found.high)
    return found


cdef inline bint is_nothing(Range x) noexcept nogil:
    return x.high <= x.low


cdef inline Range times(Range x, Range y) noexcept nogil:
    # Of products, rounded.
    cdef Range found = nothing()
    if not (is_nothing(x) or is_nothing(y)):
        found.low = x.low + y.low
        found.high = x.high + y.high
    return found


cdef inline Range union_of(Range x, Range y) noexcept nogil:
    cdef Range found = x
    if is_nothing(x):
        return y
    if not is_nothing(y):
        found.high = max(x.high, y.high)
        found.low = min(x.low - x.below, y.low - y.below)
        found.below = 0
    return found


cdef inline int first_digit(Range x) noexcept nogil:
    # Products beyond the range of doubles are left out, see count_beyond().
    cdef int low = min(max(x.low - x.below, <int>FLL_LEAST), 1023)
    return (low + FLL_BELOW) // FLL_DIGIT


cdef inline int last_digit(Range x) noexcept nogil:
    return (min(x.high, 1024) - 1 + FLL_BELOW) // FLL_DIGIT


cdef inline int end_of_digits(Range x) noexcept nogil:
    # The digit after the last, which has room for the sum of 2^40 rows.
    cdef int bits = min(x.high, 1024) + FLL_BELOW
    cdef int last = last_digit(x)
    return last + 1 + (bits - FLL_DIGIT * last > HEADROOM)


cdef inline bint fits(Groups* groups, Py_ssize_t i, Range bits) noexcept nogil:
    # Whether the window has the digits of such numbers.
    if is_nothing(bits):
        return True
    groups.need_low[i] = first_digit(bits)
    groups.need_high[i] = end_of_digits(bits)
    return in_window(groups.windows + i, bits)


cdef inline bint in_window(const Window* window, Range bits) noexcept nogil:
    return (
        window.low <= first_digit(bits)
        and end_of_digits(bits) <= window.low + window.n
    )


cdef void scatter_one_by_one(
    const double* x,        # IN  (n,)
    Py_ssize_t n,
    const Window* window,
    int64_t* cells,         # at the lowest digit
    Py_ssize_t step,        # from a digit to the next
    const Py_ssize_t* at,
) noexcept nogil:
    cdef int64_t digits[FLL_DIGITS]
    cdef Py_ssize_t i, j
    for i in range(n):
        memset(digits, 0, sizeof(digits))
        if isfinite(x[i]):
            add_double(x[i], digits)
        # Of a negative number the digit above the last is -1.
        j = window.low + window.n
        if j < FLL_DIGITS:
            digits[j - 1] += digits[j] * (<int64_t>1 << FLL_DIGIT)
        for j in range(window.n):
            cells[at[i] + j * step] += digits[window.low + j]


cdef void scatter_quad(
    Quad* quad,
    Py_ssize_t n,
    Groups* groups,
    Py_ssize_t i,           # with the first of them rows are counted
    const Py_ssize_t* at,   # IN  (n,): of the cells
) noexcept nogil:
    cdef const Window* window = groups.windows + i
    cdef int64_t* cells = groups.cells + window.at
    cdef int64_t* counts = groups.cells + N_ROWS if i == OF_LOSS else NULL
    cdef int64_t one = <int64_t>groups.sign
    cdef int low = first_digit(quad.bits), high = last_digit(quad.bits)
    cdef Py_ssize_t j, lane, last = window.low + window.n - 1
    # No window has labels that another thread has changed after the first look.
    cdef bint none = is_nothing(quad.bits) or not in_window(window, quad.bits)
    if not none and quad.bits.high <= MAX_CUT:
        add_quads(
            quad.x[0], n, high, low, cells + 4 * (last - high), at, counts, one
        )
        return
    for j in range(n if counts != NULL else 0):
        counts[at[j]] += one
    for lane in range(0 if none else 4):
        scatter_one_by_one(
            quad.x[lane], n, window, cells + 4 * (window.n - 1) + lane, -4, at
        )


cdef void scatter_column(
    double* x,              # (n,) IN, used up
    Py_ssize_t n,
    const Window* window,
    Range bits,
    int64_t* cells,         # at the first digit
    const Py_ssize_t* at,
) noexcept nogil:
    cdef int64_t digits[TILE]
    cdef int k, exponent, up, low = first_digit(bits), high = last_digit(bits)
    cdef double a
    cdef Py_ssize_t j
    if is_nothing(bits) or not in_window(window, bits):
        return  # as by scatter_quad()
    if bits.high > MAX_CUT:
        scatter_one_by_one(x, n, window, cells, 1, at)
        return
    for k in range(high, low - 1, -1):
        exponent = k * FLL_DIGIT - FLL_BELOW
        up = max(FLL_LEAST - exponent, 0)
        a = cutter(exponent + up)
        for j in range(n):
            digits[j] = cut_digit(x + j, a) << up
        for j in range(n):
            cells[at[j] + k - window.low] += digits[j]


cdef inline void count_beyond(
    Groups* groups, Quad* quad, Py_ssize_t n, const Py_ssize_t* at
) noexcept nogil:
    # Leave out what is not finite.
    cdef Py_ssize_t i, lane
    # Without weights squares are those of w t t too.
    cdef bint twice = groups.windows[OF_WEIGHT].n == 0
    for lane in range(4 if quad.bits.high > MAX_CUT else 0):
        for i in range(n):
            if not isfinite(quad.x[lane][i]):
                quad.x[lane][i] = 0.0
                count(groups, at, i, N_BEYOND)
                if twice and lane == 1:
                    count(groups, at, i, N_BEYOND)


cdef inline void count(
    Groups* groups, const Py_ssize_t* at, Py_ssize_t i, Py_ssize_t which
) noexcept nogil:
    groups.cells[at[i] + which] += <int64_t>groups.sign


cdef inline void powers(
    const double* t, Py_ssize_t n, double sign, Quad* of_loss
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double square
    for i in range(n):
        square = t[i] * t[i]
        of_loss.x[0][i] = sign * t[i]
        of_loss.x[1][i] = sign * square
        of_loss.x[2][i] = sign * (square * t[i])
        of_loss.x[3][i] *= sign


cdef inline void weights_of_powers(
    const double* w,
    const double* t,
    Py_ssize_t n,
    double sign,
    Quad* of_weight,
    Quad* of_both,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double square
    for i in range(n):
        square = w[i] * w[i]
        of_weight.x[0][i] = sign * w[i]
        of_weight.x[1][i] = sign * square
        of_weight.x[2][i] = sign * (square * w[i])
        of_weight.x[3][i] = choose(0 - <uint64_t>(w[i] == 0), 0.0, sign)
        of_both.x[0][i] = sign * (w[i] * t[i])
        of_both.x[1][i] = sign * (square * t[i])
        of_both.x[2][i] = sign * (t[i] * t[i] * w[i])
        of_both.x[3][i] = 0.0


cdef inline const int64_t* numbers_of(
    const Groups* groups, Tile* tile, int64_t* buffer
) noexcept nogil:
    # (n,) groups of the rows; negative, where a key has none.
    cdef Py_ssize_t i
    cdef uint64_t offset
    cdef const int64_t* keys
    if groups.numbers != NULL:
        return groups.numbers + tile.first
    keys = load_whole(&groups.keys, tile.first, tile.n, tile.items, buffer)
    for i in range(tile.n):
        offset = <uint64_t>keys[i] - groups.base
        buffer[i] = (groups.window[offset] if offset < groups.span else 0) - 1
    return buffer


cdef int sink_groups(const Call* call, Tile* tile) noexcept nogil:
    cdef Groups* groups = tile.groups
    cdef double t[TILE]
    cdef double ones[TILE]
    cdef Py_ssize_t at[TILE]
    cdef Quad quads[3]
    cdef Quad* of_loss = quads + OF_LOSS
    cdef Quad* of_weight = quads + OF_WEIGHT
    cdef Quad* of_both = quads + OF_BOTH
    cdef double* loss = tile.linear
    cdef const double* w = tile.w
    cdef int64_t buffer[TILE]
    cdef const int64_t* numbers = numbers_of(groups, tile, buffer)
    cdef Py_ssize_t i, n = tile.n
    cdef bint weighted = groups.windows[OF_WEIGHT].n > 0, room, finite
    cdef uint64_t bits, bad = 0
    cdef double sign = groups.sign
    cdef Range range_w, range_t, range_tt, range_one = nothing()
    groups.n_done = tile.first
    losses_of(call, tile)
    for i in range(n):
        bad |= <uint64_t>numbers[i] | <uint64_t>(groups.n_groups - 1 - numbers[i])
        at[i] = numbers[i] * groups.size
    if bad >> 63:
        return _BAD_TARGET  # numbers, or keys, that another thread has changed
    for i in range(n if w != NULL else 0):
        bits = to_bits(absolute(w[i]))
        bits = ((bits - MIN_WEIGHT) | (MAX_WEIGHT - bits)) & (
            0 - <uint64_t>(bits != 0)
        )
        bad |= bits
    if bad >> 63:
        return _BAD_WEIGHT
    finite = top_of(loss, n) <= 1024
    for i in range(n):
        t[i] = loss[i] if finite or isfinite(loss[i]) else 0.0
    range_t = range_of(t, n)
    range_one.high = 1
    range_one.below = 0
    range_w = range_one
    if w != NULL:
        range_w = range_of(w, n)
        multiply_into(w, t, n, t)
        if times(range_w, range_t).high > MAX_CUT and top_of(t, n) > 1024:
            return _BAD_WEIGHT
        range_t = range_of(t, n)  # mostly less than what the two allow
    range_tt = times(range_t, range_t)
    of_loss.bits = union_of(range_t, union_of(range_tt, times(range_tt, range_t)))
    of_loss.bits = union_of(of_loss.bits, second_class(call, tile, range_w,
                                                       of_loss.x[3]))
    room = fits(groups, OF_LOSS, of_loss.bits) and classes_fit(call, tile, range_w)
    if weighted:
        of_weight.bits = union_of(range_w, times(range_w, times(range_w, range_w)))
        of_weight.bits = union_of(of_weight.bits, times(range_w, range_w))
        of_weight.bits = union_of(of_weight.bits, range_one)
        of_both.bits = union_of(times(range_w, range_t), times(range_w, range_tt))
        of_both.bits = union_of(
            of_both.bits, times(times(range_w, range_w), range_t)
        )
        if range_tt.high > MAX_CUT:  # a small weight makes no square finite
            of_both.bits.high = max(of_both.bits.high, MAX_CUT + 1)
        room &= fits(groups, OF_WEIGHT, of_weight.bits)
        room &= fits(groups, OF_BOTH, of_both.bits)
    if not room:
        return _NEEDS_ROOM
    if groups.n_groups * groups.size > BIG_CELLS and groups.numbers != NULL:
        # Of the next tile, which will need what this one does. To the first-level
        # cache would be too much: it took 1.7 x the time of a million groups.
        i = groups.windows[OF_LOSS].low + groups.windows[OF_LOSS].n
        i = LANES_OF_CELL + 4 * (i - first_digit(of_loss.bits))
        prefetch_cells(
            groups, numbers + n, min(n, call.n - tile.first - n),
            groups.size if weighted else min(i, groups.size),
        )
    for i in range(0 if finite else n):
        if not isfinite(loss[i]):
            if w == NULL or w[i] > 0:
                count(groups, at, i, N_UP)
            elif w[i] < 0:
                count(groups, at, i, N_DOWN)
    powers(t, n, sign, of_loss)
    count_beyond(groups, of_loss, n, at)
    scatter_quad(of_loss, n, groups, OF_LOSS, at)
    if weighted:
        if w == NULL:
            for i in range(n):
                ones[i] = 1.0
            w = ones
        weights_of_powers(w, t, n, sign, of_weight, of_both)
        scatter_quad(of_weight, n, groups, OF_WEIGHT, at)
        count_beyond(groups, of_both, n, at)
        scatter_quad(of_both, n, groups, OF_BOTH, at)
    scatter_classes(call, tile, range_w, at)
    groups.n_done = tile.first + n
    return 0


cdef inline void prefetch_cells(
    const Groups* groups,
    const int64_t* numbers,  # IN (n,)
    Py_ssize_t n,
    Py_ssize_t size,        # of a cell
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        if 0 <= numbers[i] < groups.n_groups:
            for j in range(0, size, 8):
                prefetch_l2(groups.cells + numbers[i] * groups.size + j)


cdef inline bint has_many_classes(const Call* call) noexcept nogil:
    # Of two the first is what the second leaves of all rows.
    return call.task.n_columns > 2


cdef inline Range class_share(
    const Call* call,
    Tile* tile,
    Py_ssize_t j,           # class
    Range of_w,
    double* share,          # OUT (n,): target, or label as 0 or 1, times the weight
) noexcept nogil:
    # Read again, as by add_classes().
    cdef View column = call.y
    cdef uint64_t neither
    cdef Py_ssize_t i
    cdef const double* y
    if call.task.soft:
        if call.task.n_columns > 1:
            column.in_place = False
            column.data += j * column.column
        y = load_doubles(&column, tile.first, tile.n, 1, tile.items, tile.labels)
    elif call.has_codes:
        for i in range(tile.n):
            tile.labels[i] = tile.code[i] == j
        y = tile.labels
    else:
        y = labels_of(call, tile, &neither)
    for i in range(tile.n):
        share[i] = y[i] if tile.w == NULL else y[i] * tile.w[i]
        if not isfinite(share[i]):  # changed by another thread
            share[i] = 0.0
    return range_of(share, tile.n) if call.task.soft else of_w


cdef inline Range second_class(
    const Call* call, Tile* tile, Range of_w, double* share
) noexcept nogil:
    if has_many_classes(call):
        memset(share, 0, tile.n * sizeof(double))
        return nothing()
    return class_share(call, tile, 1, of_w, share)


cdef bint classes_fit(const Call* call, Tile* tile, Range of_w) noexcept nogil:
    cdef double share[TILE]
    cdef Py_ssize_t j, k = call.task.n_columns
    cdef Range whole = nothing()
    if not has_many_classes(call):
        return True
    if not call.task.soft:
        return fits(tile.groups, OF_CLASSES, of_w)
    for j in range(k):
        whole = union_of(whole, class_share(call, tile, j, of_w, share))
    return fits(tile.groups, OF_CLASSES, whole)


cdef void scatter_classes(
    const Call* call, Tile* tile, Range of_w, const Py_ssize_t* at
) noexcept nogil:
    cdef Groups* groups = tile.groups
    cdef const Window* window = groups.windows + OF_CLASSES
    cdef int64_t* cells = groups.cells + window.at
    cdef double share[TILE]
    cdef Py_ssize_t place[TILE]
    cdef Py_ssize_t i, j, k = call.task.n_columns
    cdef Range found
    if not has_many_classes(call):
        return
    if call.has_codes:
        for i in range(tile.n):
            check(0 <= tile.code[i] < k)
            place[i] = at[i] + tile.code[i] * window.n
            share[i] = groups.sign * (1.0 if tile.w == NULL else tile.w[i])
        scatter_column(share, tile.n, window, of_w, cells, place)
        return
    for j in range(k):
        found = class_share(call, tile, j, of_w, share)
        for i in range(tile.n):
            share[i] *= groups.sign
        scatter_column(share, tile.n, window, found, cells + j * window.n, at)
