# Scores in general: logits, soft targets, derivatives.
#
# Design
# H. From logits a row's loss is  linear + log(1 + excess): the excess is the sum of
#    exp(-distance to the maximum) over the other classes, linear the distance of the
#    true class. No cancellation is left in either tail: margin 800 costs 800, and -40
#    costs exp(-40). Products of 1 + excess are those of design C; 16 of them are
#    multiplied as excesses, (1 + a)(1 + b) = 1 + (a + b + a b), all terms positive:
#    four roundings of 1.5 ULP, and half the operations of unevaluated sums.
# I. Derivatives are computed from the same exponentials. 1 - p of the likeliest class
#    is the sum of the others, never a difference. Errors below 1e-14, relative.
# J. Hard labels have bodies of their own: for two classes a label is the sign of the
#    margin (a third fewer operations than with a target t in [0, 1]), for more a row of
#    targets costs as much as one of logits. Smoothing turns labels into targets.
# K. Logits of several columns are turned, some rows at a time, so that all loops run
#    over rows: no horizontal sums and no tails for the few classes there mostly are.
#    Rejected: rows as they lie, 2.5 times the instructions for 10 classes.
# L. Every logit has its own exponential, relative to a power of 2 near that of the
#    row's maximum. The difference of two logits is rounded, and exp() would make of
#    that absolute error a relative one of up to 700 ULP; putting it back took ten
#    operations. Only where the maximum is beyond MAX_TOP are logits subtracted: those
#    near enough to count are then within a factor of 2, and their difference exact
#    (Sterbenz).
# M. Sums over the columns of a row are plain for a few of them, and compensated from
#    these few to the next: their error does not grow with the number of classes. Few
#    are 32 exponentials. Of losses, which may all be equal and then round alike, 32
#    would be up to 1.5e-15 off: from 17 classes on they are 32 in four lanes.
# N. Sums beyond the range of doubles, or so small that terms were no normal numbers,
#    are made again, from the losses of rows and slowly: in_range() tells. Rejected:
#    weights and losses scaled by powers of 2 here, for no scale fits all of a call.

cdef inline uint64_t bad_target(label_t y, bint soft) noexcept nogil:
    # Not 0 where y is no label (or no target), -0.0 included: looked at again.
    if label_t is double:
        if soft:
            return <uint64_t>(not ((y >= 0) & (y <= 1)))
        return to_bits(y * (1.0 - y))
    else:
        return <uint64_t>y & ~<uint64_t>1


cdef inline uint64_t is_nan(double x) noexcept nogil:
    # Bit 63 is set for NaN.
    return <uint64_t>0x7FF0000000000000 - to_bits(absolute(x))


cdef inline int check_targets(
    const label_t* y, Py_ssize_t n, bint soft, int64_t* n_ones
) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t bad = 0, ones = 0
    if soft:
        for i in range(n):
            bad |= bad_target(y[i], True)
    else:
        for i in range(n):
            bad |= bad_target(y[i], False)
            ones += to_bits(y[i]) if label_t is double else <uint64_t>y[i]
        n_ones[0] += count_ones(ones, y)
    return exact_targets(y, n, soft) if bad else 0


cdef inline void hard_logits_strip(
    const label_t* y,       # IN  (n,)
    const proba_t* z,       # IN  (n,)
    Py_ssize_t n,
    Checks* checks,         # IN/OUT
    double* margin,         # OUT (n,): z for label 0, -z for label 1
    double* linear,         # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double m
    cdef uint64_t bad = 0, ones = 0, nan = 0
    for i in range(n):
        bad |= bad_target(y[i], False)
        if label_t is double:
            ones += to_bits(y[i])
        else:
            ones += <uint64_t>y[i]
        m = from_bits(to_bits(z[i]) ^ label_sign(y[i]))
        nan |= is_nan(m)
        margin[i] = m
        linear[i] = larger(m, 0.0)
    checks.not_label |= bad
    checks.ones += count_ones(ones, y)
    checks.off |= nan


cdef inline int hard_logits(
    const label_t* y,       # IN  (n,)
    const proba_t* z,       # IN  (n,)
    Py_ssize_t n,
    double* margin,         # OUT (n,)
    double* excess,         # OUT (n,)
    double* linear,         # OUT (n,)
    int64_t* n_ones,        # IN/OUT
) noexcept nogil:
    cdef Checks checks
    cdef Py_ssize_t i = 0
    cdef int status = 0
    start_checks(&checks)
    while i + STRIP <= n:
        fetch(<const char*>y, i, STRIP, sizeof(label_t), FLL_AHEAD_OF_LOGITS)
        fetch(<const char*>z, i, STRIP, sizeof(proba_t), FLL_AHEAD_OF_LOGITS)
        hard_logits_strip(y + i, z + i, STRIP, &checks, margin + i, linear + i)
        i += STRIP
    if i < n:
        hard_logits_strip(y + i, z + i, n - i, &checks, margin + i, linear + i)
    exp_array(margin, n, excess)
    n_ones[0] += <int64_t>checks.ones
    if checks.not_label:
        status = exact_targets(y, n, False)
    return status | (_BAD_SCORE if checks.off >> 63 else 0)


cdef inline void hard_derivatives(
    const label_t* y,       # IN  (n,)
    const double* margin,   # IN  (n,)
    const double* excess,   # IN  (n,)
    Py_ssize_t n,
    double* gradient,       # OUT (n,)
    double* hessian,        # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double near, far
    for i in range(n):
        near = 1.0 / (1.0 + excess[i])
        far = excess[i] * near
        hessian[i] = near * far
        near = choose(sign_mask(margin[i]), far, near)
        gradient[i] = from_bits(to_bits(near) ^ label_sign(y[i]))


cdef inline int soft_logits(
    const label_t* y,       # IN  (n,) targets, or labels to be smoothed
    const proba_t* z,       # IN  (n,)
    Py_ssize_t n,
    const Task* task,
    double* excess,         # OUT (n,)
    double* linear,         # OUT (n,)
    double* gradient,       # OUT (n,)
    double* hessian,        # OUT (n,)
    int64_t* n_ones,        # IN/OUT
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double t, u, x, a, e, near, far, share
    cdef uint64_t negative, nan = 0
    cdef int status = check_targets(y, n, task.soft, n_ones)
    for i in range(n):
        x = z[i]
        t = <double>y[i] * task.target_slope + task.target_offset
        # Not 1 - t: a small share would lose its last digits.
        u = (1.0 - <double>y[i]) * task.target_slope + task.target_offset
        a = absolute(x)
        nan |= is_nan(a)
        e = exp_nonpositive(-a)
        excess[i] = e
        negative = sign_mask(x)
        share = choose(negative, t, u)  # of the target beyond 0
        linear[i] = a * share if share > 0 else 0.0
        near = 1.0 / (1.0 + e)
        far = e * near
        hessian[i] = near * far
        gradient[i] = u * choose(negative, far, near) - t * choose(
            negative, near, far
        )
    return status | (_BAD_SCORE if nan >> 63 else 0)


cdef inline uint64_t label_sign(label_t y) noexcept nogil:
    # The sign bit for label 1, nothing for 0.
    if label_t is double:
        return to_bits(y) >> 61 << 63
    else:
        return <uint64_t>y << 63


cdef inline uint64_t sign_mask(double x) noexcept nogil:
    return 0 - (to_bits(x) >> 63)


cdef inline int exact_targets(
    const label_t* y, Py_ssize_t n, bint soft
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= y[i] <= 1:
            return _BAD_TARGET if soft else _BAD_LABEL
        if not soft and y[i] != 0 and y[i] != 1:
            return _BAD_LABEL
    return 0


cdef inline double clipped_log(double p, const Task* task) noexcept nogil:
    cdef double q = task.low if p < task.low else p
    q = task.high if q > task.high else q
    return log_any(q) if q < MIN_FACTOR else log_normal(q)


cdef inline double clipped_inverse(double p, const Task* task) noexcept nogil:
    # d log(clip(p)) / dp: zero where the clip is active.
    return 1.0 / p if task.flat_low < p < task.flat_high else 0.0


cdef inline int binary_probas(
    const label_t* y,       # IN  (n,) targets, or labels to be smoothed
    const proba_t* p,       # IN  (n,)
    Py_ssize_t n,
    const Task* task,
    bint soft,
    double* linear,         # OUT (n,): the whole loss
    double* gradient,       # OUT (n,) or NULL
    double* hessian,        # OUT (n,) or NULL
    int64_t* n_ones,        # IN/OUT
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double x, other, t, u, a, b
    cdef int status = exact_targets(y, n, soft)
    if status:
        return status
    for i in range(n):
        x = p[i]
        if not 0 <= x <= 1:
            return _BAD_PROBA
        other = 1.0 - x
        t = <double>y[i] * task.target_slope + task.target_offset
        u = (1.0 - <double>y[i]) * task.target_slope + task.target_offset
        # A target of zero silences an impossible event.
        a = 0.0 if t == 0 else t * clipped_log(x, task)
        b = 0.0 if u == 0 else u * clipped_log(other, task)
        linear[i] = 0.0 - (a + b)
        if gradient != NULL:
            a = clipped_inverse(x, task) if t != 0 else 0.0
            b = clipped_inverse(other, task) if u != 0 else 0.0
            gradient[i] = u * b - t * a
            if hessian != NULL:
                hessian[i] = u * b * b + t * a * a
        if not soft:
            n_ones[0] += y[i] != 0
    return 0


cdef inline double distance(double x, double y) noexcept nogil:
    # x - y, 0 for equal infinities.
    return choose(0 - <uint64_t>(x == y), 0.0, x - y)


cdef inline int rows_of_targets(
    const label_t* y,       # IN  (m,) labels or (m, k) targets
    Py_ssize_t m,
    const Task* task,
    bint soft,
    uint8_t* seen,          # IN/OUT (k,)
    Py_ssize_t* code,       # OUT (m,)
    double* t,              # OUT (m, k), unless NULL
) noexcept nogil:
    cdef Py_ssize_t i, j, k = task.n_columns
    cdef int bad = 0
    cdef double total
    if soft:
        for i in range(m):
            code[i] = 0
            total = 0
            for j in range(k):
                bad |= not 0 <= y[i * k + j] <= 1
                t[i * k + j] = y[i * k + j] * task.target_slope + task.target_offset
                total += y[i * k + j]
            bad |= not absolute(total - 1.0) <= task.target_tolerance
        return _BAD_TARGET if bad else 0
    if not class_codes(y, m, k, code):
        return _BAD_LABEL
    for i in range(m):
        check(0 <= code[i] < k)
        seen[code[i]] = 1
        if t != NULL:
            for j in range(k):
                t[i * k + j] = task.target_offset
            t[i * k + code[i]] += task.target_slope
    return 0


cdef inline void to_columns(
    const proba_t* x,       # IN  (m, k)
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    double* columns,        # OUT (k, g), 0 from m on
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Py_ssize_t pairs = k // 2 if proba_t is double else 0
    for j in range(pairs):
        pair_to_columns(
            <const double*>x + 2 * j, k, m,
            columns + 2 * j * g, columns + (2 * j + 1) * g,
        )
    for j in range(2 * pairs, k):
        for i in range(m):
            columns[j * g + i] = x[i * k + j]
    if m < g:
        for j in range(k):
            for i in range(m, g):
                columns[j * g + i] = 0.0


cdef inline void from_columns(
    const double* columns,  # IN  (k, g)
    const double* factor,   # IN  (g,): of each row
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    proba_t* x,             # OUT (m, k)
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Py_ssize_t pairs = k // 2 if proba_t is double else 0
    for j in range(pairs):
        pair_to_rows(
            columns + 2 * j * g, columns + (2 * j + 1) * g, factor, k, m,
            <double*>x + 2 * j,
        )
    for j in range(2 * pairs, k):
        for i in range(m):
            x[i * k + j] = <proba_t>(columns[j * g + i] * factor[i])


cdef inline uint64_t softmax_group(
    double* e,              # IN  (k, g) logits, OUT exponentials
    Py_ssize_t k,
    Py_ssize_t g,
    double* top,            # OUT (g,): the maximum of a row
    double* most,           # OUT (g,): its exponential
    double* rest,           # OUT (g,): the sum of the others'
    const char* z,          # where the logits were read from, and
    const Outputs* out,     # where row `first` of the derivatives
    Py_ssize_t first,       # will go: memory to fetch on the way
    Py_ssize_t size,        # bytes of a logit
) noexcept nogil:
    # The exponentials of a row are multiplied by a power of 2 that makes them normal
    # numbers, and `most` nearly 2^128. Returns bit 63 set if there is a NaN.
    cdef double base[MAX_GROUP]
    cdef double least[MAX_GROUP]
    cdef double shift[MAX_GROUP]
    cdef double shifted[MAX_GROUP]
    cdef double ones[MAX_GROUP]
    cdef double part[MAX_GROUP]
    cdef double tail[MAX_GROUP]
    cdef double x
    cdef uint64_t bad = 0, far = 0
    cdef Py_ssize_t i, j, at
    for i in range(g):
        top[i] = e[i]
    for j in range(1, k):
        for i in range(g):
            top[i] = larger(e[j * g + i], top[i])
    for i in range(g):
        base[i] = top[i]
        far |= to_bits(MAX_TOP) - to_bits(absolute(top[i]))
    if far >> 63:
        for i in range(g):
            if absolute(top[i]) > MAX_TOP:
                base[i] = 0.0
                for j in range(k):
                    e[j * g + i] = distance(e[j * g + i], top[i])
    for i in range(g):
        least[i] = base[i] + FLL_FLOOR
        x = shifted_exponent(base[i], FLL_SHIFT) - FLL_SHIFT
        shift[i] = (FLL_SHIFT + FLL_BIAS) - x
        shifted[i] = shifted_exponent(base[i], shift[i])
        x = exp_rest(exponent_rest(base[i], shifted[i] - shift[i]))
        most[i] = times_power(x, shifted[i])
        rest[i] = 0.0
        part[i] = 0.0
        tail[i] = 0.0
        ones[i] = -1.0
    for j in range(k):
        at = first * k + (k + j) * g  # beyond this group
        fetch_ahead(z, (k + j) * g, g, size)
        fetch_ahead(cached(&out.gradient), at, g, size_of(out.gradient.kind))
        fetch_ahead(cached(&out.hessian), at, g, size_of(out.hessian.kind))
        exp_column(least, shift, most, g, MIN_EXP, e + j * g, part, ones)
        if j % PLAIN == PLAIN - 1:
            add_parts(part, g, rest, tail)
    for i in range(g):
        rest[i] = ((rest[i] + part[i]) + tail[i]) + ones[i] * most[i]
        bad |= is_nan(rest[i])
    return bad


cdef inline double others(
    double e, double most, double rest, double total
) noexcept nogil:
    # The sum of a row without e: never a difference of nearly equal numbers.
    return choose(0 - <uint64_t>(e == most), rest, total - e)


cdef inline void softmax_derivatives(
    double* e,              # IN  (k, g) exponentials, OUT gradient / factor
    Py_ssize_t k,
    Py_ssize_t g,
    Py_ssize_t m,
    const double* most,     # IN  (g,)
    const double* rest,     # IN  (g,)
    const Py_ssize_t* code,  # IN  (m,) true classes, or
    const double* t,        # IN  (k, g) targets
    const double* scale,    # IN  (g,)
    double hessian_factor,
    double* hessian,        # OUT (k, g): hessian / factor, or NULL
    double* factor,         # OUT (g,)
    double* at_code,        # OUT (m,): gradient / factor of the true class
) noexcept nogil:
    cdef double total[MAX_GROUP]
    cdef double inverse[MAX_GROUP]
    cdef double weight[MAX_GROUP]
    cdef double part[MAX_GROUP]
    cdef double tail[MAX_GROUP]
    cdef double x, target
    cdef uint64_t tiny = 0
    cdef Py_ssize_t i, j
    for i in range(g):
        total[i] = most[i] + rest[i]
        inverse[i] = 1.0 / total[i]
        factor[i] = inverse[i] * scale[i]
        weight[i] = 1.0
        tiny |= to_bits(absolute(factor[i])) - to_bits(MIN_SCALE)
    if t != NULL:
        for i in range(g):
            weight[i] = 0.0
            part[i] = 0.0
            tail[i] = 0.0
        for j in range(min(k, <Py_ssize_t>PLAIN)):
            for i in range(g):
                weight[i] += t[j * g + i]
        for j in range(PLAIN, k):
            for i in range(g):
                part[i] += t[j * g + i]
            if j % PLAIN == PLAIN - 1 or j == k - 1:
                add_parts(part, g, weight, tail)
        for i in range(g if k > PLAIN else 0):
            weight[i] += tail[i]
    if hessian != NULL:
        for j in range(k):
            for i in range(g):
                x = e[j * g + i]
                # In this order, nothing on the way is too small to be a normal number.
                hessian[j * g + i] = (
                    x * others(x, most[i], rest[i], total[i])
                ) * (inverse[i] * weight[i] * hessian_factor)
    if t == NULL:
        for i in range(m):
            # p - 1 is minus the sum of the others.
            x = e[code[i] * g + i]
            at_code[i] = 0.0 - others(x, most[i], rest[i], total[i])
    else:
        for j in range(k):
            for i in range(g):
                # weight p - t, without the cancellation where both are near 1.
                x = e[j * g + i]
                target = t[j * g + i]
                e[j * g + i] = x * (weight[i] - target) - target * others(
                    x, most[i], rest[i], total[i]
                )
    if tiny >> 63:
        # A factor that is not normal, or will not be: shift it by 2^128.
        for i in range(g):
            if absolute(factor[i]) < MIN_SCALE:
                factor[i] = (inverse[i] * 2.0**128) * scale[i]
                if t == NULL and i < m:
                    at_code[i] *= 2.0**-128
                for j in range(k):
                    e[j * g + i] *= 2.0**-128
                    if hessian != NULL:
                        hessian[j * g + i] *= 2.0**-128


cdef inline void store_columns(
    const double* columns,  # IN  (k, g)
    const double* factor,   # IN  (g,)
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    const Py_ssize_t* code,  # IN  (m,), or NULL
    const double* at_code,  # IN  (m,): what replaces column code[i]
    const Output* out,      # OUT rows `first` to `first + m`
    Py_ssize_t first,
    double* buffer,         # (m, k)
) noexcept nogil:
    cdef double* wide = <double*>out.data + first * k
    cdef float* narrow = <float*>out.data + first * k
    cdef Py_ssize_t i
    if out.kind == FLOAT32:
        from_columns(columns, factor, m, k, g, narrow)
        for i in range(m if code != NULL else 0):
            narrow[i * k + code[i]] = <float>(at_code[i] * factor[i])
        return
    if not out.stream:
        buffer = wide
    from_columns(columns, factor, m, k, g, buffer)
    for i in range(m if code != NULL else 0):
        buffer[i * k + code[i]] = at_code[i] * factor[i]
    if out.stream:
        stream(buffer, m * k, wide)


cdef inline double share_of(double t, double top, double z) noexcept nogil:
    # A target of zero silences an impossible event.
    return t * distance(top, z) if t != 0 else 0.0


cdef double targets_loss(
    const double* t,        # IN  (k,) targets
    const proba_t* z,       # IN  (k,) logits
    Py_ssize_t k,
    double top,             # the largest of them
    double log_rest,        # log(1 + excess)
    double row_scale,
) noexcept nogil:
    # All but one log_rest, times row_scale. Distances twice as long as the longest
    # double are halved.
    cdef double half = 0.5 if top > HUGE else 1.0
    cdef double scale = row_scale * half
    cdef double loss = 0, loss_tail = 0, total = 0, total_tail = 0
    cdef double a, b, c, d, p, q, r, s
    cdef Py_ssize_t j, last
    top *= scale
    # The targets' sum is 1 within a tolerance; the loss knows it exactly.
    if k <= PLAIN_LOSSES:
        for j in range(k):
            if t[j] != 0:
                loss += t[j] * distance(top, z[j] * scale)
                total += t[j]
        return (loss + (total - 1.0) * log_rest * scale) / half
    j = 0
    while j < k:
        last = min(j + PLAIN, k)
        a = b = c = d = 0
        p = q = r = s = 0
        while j + 4 <= last:
            a += share_of(t[j], top, z[j] * scale)
            b += share_of(t[j + 1], top, z[j + 1] * scale)
            c += share_of(t[j + 2], top, z[j + 2] * scale)
            d += share_of(t[j + 3], top, z[j + 3] * scale)
            p += t[j]
            q += t[j + 1]
            r += t[j + 2]
            s += t[j + 3]
            j += 4
        while j < last:
            a += share_of(t[j], top, z[j] * scale)
            p += t[j]
            j += 1
        add_compensated(&loss, &loss_tail, (a + c) + (b + d))
        add_compensated(&total, &total_tail, (p + r) + (q + s))
    loss += ((total - 1.0) + total_tail) * log_rest * scale
    return (loss + loss_tail) / half


cdef inline int multiclass_logits(
    const label_t* y,       # IN  (n,) labels or (n, k) targets
    const proba_t* z,       # IN  (n, k)
    Py_ssize_t n,
    const Task* task,
    bint soft,
    const Outputs* out,     # derivatives go there
    Py_ssize_t first,       # row of `out` that is row 0 of y and z
    const double* w,        # IN  (n,) or NULL: weights of the derivatives
    double* scratch,
    uint8_t* seen,          # IN/OUT (k,)
    double* excess,         # OUT (n,)
    double* linear,         # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t code[MAX_GROUP]
    cdef double top[MAX_GROUP]
    cdef double most[MAX_GROUP]
    cdef double rest[MAX_GROUP]
    cdef double scale[MAX_GROUP]
    cdef double factor[MAX_GROUP]
    cdef double at_code[MAX_GROUP]
    cdef Py_ssize_t i, j, m, k = task.n_columns, g = task.group, start = 0
    cdef bint targets = soft or task.target_offset != 0
    cdef double* e = scratch
    cdef double* hessian = e + k * g
    cdef double* t = hessian + k * g
    cdef double* buffer = t + k * g
    cdef const proba_t* rows
    cdef int status
    while start < n:
        m = g if n - start > g else n - start
        rows = z + start * k
        # The targets are read to where the hessian will be, then turned.
        status = rows_of_targets(
            y + start * (k if soft else 1), m, task, soft, seen, code,
            hessian if targets else NULL,
        )
        if status:
            return status
        if targets:
            to_columns(hessian, m, k, g, t)
        to_columns(rows, m, k, g, e)
        if softmax_group(
            e, k, g, top, most, rest, <const char*>rows, out, first + start,
            sizeof(proba_t),
        ) >> 63:
            return _BAD_SCORE
        for i in range(m):
            excess[start + i] = rest[i] / most[i]
        if targets:
            for i in range(m):
                linear[start + i] = targets_loss(
                    hessian + i * k, rows + i * k, k, top[i],
                    log_excess(excess[start + i]), task.row_scale,
                )
        else:
            for i in range(m):
                linear[start + i] = distance(
                    top[i] * task.row_scale, rows[i * k + code[i]] * task.row_scale
                )
        if out.gradient.data != NULL:
            for i in range(g):
                scale[i] = task.scale
            for i in range(m if w != NULL else 0):
                scale[i] *= w[start + i]
            softmax_derivatives(
                e, k, g, m, most, rest, code, t if targets else NULL, scale,
                task.hessian_factor, hessian if out.hessian.data != NULL else NULL,
                factor, at_code,
            )
            store_columns(
                e, factor, m, k, g, NULL if targets else code, at_code,
                &out.gradient, first + start, buffer,
            )
            if out.hessian.data != NULL:
                store_columns(
                    hessian, factor, m, k, g, NULL, NULL,
                    &out.hessian, first + start, buffer,
                )
        start += m
    return 0


cdef inline int multiclass_probas(
    const label_t* y,       # IN  (n,) labels to be smoothed or (n, k) targets
    const proba_t* p,       # IN  (n, k)
    Py_ssize_t n,
    const Task* task,
    bint soft,
    const Outputs* out,
    Py_ssize_t first,
    const double* w,
    double* scratch,
    uint8_t* seen,
    double* linear,         # OUT (n,): the whole loss
) noexcept nogil:
    cdef Py_ssize_t code[TILE]
    cdef Py_ssize_t i, j, m, k = task.n_columns, start = 0
    cdef double* g = scratch
    cdef double* t = g + task.group * k
    cdef double* second = t + task.group * k
    cdef double* buffer = second + task.group * k
    cdef const proba_t* rows
    cdef double x, total, loss
    cdef bint many = k > PLAIN_LOSSES, derive = out.gradient.data != NULL
    cdef RowSum losses
    cdef int status, sums = 0
    while start < n:
        m = task.group if n - start > task.group else n - start
        rows = p + start * k
        status = rows_of_targets(
            y + start * (k if soft else 1), m, task, soft, seen, code, t
        )
        if status:
            return status
        for i in range(m):
            total = 0
            loss = 0
            if many:
                memset(&losses, 0, sizeof(RowSum))
            for j in range(k):
                x = rows[i * k + j]
                if not 0 <= x <= 1:
                    return _BAD_PROBA
                total += x
            if not absolute(total - 1.0) <= task.tolerance:
                sums = _BAD_ROW_SUM
            for j in range(k):
                x = t[i * k + j]
                if derive:
                    g[i * k + j] = 0
                    second[i * k + j] = 0
                if x != 0:
                    if many:
                        losses.part[j & 3] += x * clipped_log(rows[i * k + j], task)
                    else:
                        loss += x * clipped_log(rows[i * k + j], task)
                if x != 0 and derive:
                    total = clipped_inverse(rows[i * k + j], task)
                    g[i * k + j] = -x * total
                    second[i * k + j] = x * total * total
                if many and (j % PLAIN == PLAIN - 1 or j == k - 1):
                    add_lanes(&losses)
            linear[start + i] = 0.0 - (losses.total + losses.tail if many else loss)
        if out.gradient.data != NULL:
            store_rows(
                out, first + start, m, k, NULL if w == NULL else w + start, task, g,
                second, buffer,
            )
        start += m
    return sums


cdef inline int hard_probas(
    const label_t* y,       # IN  (n,)
    const proba_t* p,       # IN  (n, n_columns)
    Py_ssize_t n,
    const Task* task,
    const Outputs* out,
    Py_ssize_t first,
    const double* w,
    double* scratch,
    uint8_t* seen,
    double* q,              # OUT (n,)
    double* gradient,       # OUT (n,) where n_columns is 1
    double* hessian,        # OUT (n,) where n_columns is 1
    int64_t* n_ones,
) noexcept nogil:
    cdef Py_ssize_t i, j, m, k = task.n_columns, start = 0
    cdef double* g = scratch
    cdef double* second = g + task.group * k
    cdef double* buffer = second + task.group * k
    cdef Py_ssize_t code[TILE]
    cdef double inverse, low = task.flat_low, high = task.flat_high
    cdef int status = load(y, p, n, task, q, n_ones, seen)
    if out.gradient.data == NULL or status & ~_BAD_ROW_SUM:
        return status
    if k == 1:
        for i in range(n):
            inverse = 1.0 / q[i]
            inverse = inverse if q[i] > low else 0.0
            inverse = inverse if q[i] < high else 0.0
            hessian[i] = inverse * inverse
            gradient[i] = from_bits(to_bits(inverse) ^ label_sign(y[i]))
        return status
    if not class_codes(y, n, k, code):  # changed since they were looked at
        return _BAD_LABEL
    while start < n:
        m = task.group if n - start > task.group else n - start
        memset(g, 0, m * k * sizeof(double))
        memset(second, 0, m * k * sizeof(double))
        for i in range(m):
            j = i * k + code[start + i]
            inverse = clipped_inverse(q[start + i], task)
            g[j] = -inverse
            second[j] = inverse * inverse
        store_rows(
            out, first + start, m, k, NULL if w == NULL else w + start, task, g,
            second, buffer,
        )
        start += m
    return status


cdef inline int check_scores(
    const label_t* y,       # IN  (n,) labels or (n, n_columns) targets
    const proba_t* z,       # IN  (n, n_columns)
    Py_ssize_t n,
    const Task* task,
    double* scratch,
    uint8_t* seen,
    int64_t* n_ones,
) noexcept nogil:
    # Everything that can be wrong with logits and their labels, and nothing else.
    cdef Py_ssize_t code[MAX_GROUP]
    cdef Py_ssize_t i, m, k = task.n_columns, start = 0
    cdef uint64_t score = 0
    cdef int status = 0
    for i in range(n * k):
        score |= is_nan(z[i])
    if k == 1:
        status = check_targets(y, n, task.soft, n_ones)
    while k > 1 and start < n:
        m = task.group if n - start > task.group else n - start
        status |= rows_of_targets(
            y + start * (k if task.soft else 1), m, task, task.soft, seen, code,
            scratch if task.soft else NULL,
        )
        start += m
    return status | (_BAD_SCORE if score >> 63 else 0)


cdef inline void store_rows(
    const Outputs* out,
    Py_ssize_t first,       # row of out
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  (n,) or NULL
    const Task* task,
    const double* gradient,  # IN  (n, k)
    const double* hessian,  # IN  (n, k)
    double* buffer,         # (n, k)
) noexcept nogil:
    cdef double scale = task.scale
    store_scaled(&out.gradient, first, n, k, w, scale, gradient, buffer)
    if out.hessian.data != NULL:
        scale *= task.hessian_factor
        store_scaled(&out.hessian, first, n, k, w, scale, hessian, buffer)


cdef inline void store_scaled(
    const Output* out,
    Py_ssize_t first,       # row of out
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  (n,) or NULL
    double scale,
    const double* x,        # IN  (n, k)
    double* buffer,         # (n, k)
) noexcept nogil:
    cdef double* wide = <double*>out.data + first * k
    if out.kind == FLOAT32:
        scale_rows(x, n, k, w, scale, <float*>out.data + first * k)
    elif not out.stream:
        scale_rows(x, n, k, w, scale, wide)
    else:
        scale_rows(x, n, k, w, scale, buffer)
        stream(buffer, n * k, wide)


cdef inline Py_ssize_t size_of(int kind) noexcept nogil:
    return 4 if kind == FLOAT32 else 8


cdef inline const char* cached(const Output* out) noexcept nogil:
    # What is written is read first, by the memory, unless it goes past the caches: to
    # be fetched ahead too.
    return NULL if out.stream else out.data


cdef inline void scale_rows(
    const double* x,        # IN  (n, k)
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  (n,) or NULL
    double scale,
    proba_t* out,           # OUT (n, k)
) noexcept nogil:
    cdef Py_ssize_t i, j
    if w == NULL:
        for i in range(n * k):
            out[i] = <proba_t>(x[i] * scale)
    elif k == 1:
        for i in range(n):
            out[i] = <proba_t>scaled(x[i], w[i] * scale)
    else:
        for i in range(n):
            for j in range(k):
                out[i * k + j] = <proba_t>scaled(x[i * k + j], w[i] * scale)


cdef inline double scaled(double x, double scale) noexcept nogil:
    # A weight of zero silences even an infinite derivative.
    return choose(0 - <uint64_t>(scale == 0), 0.0, x * scale)


cdef void add_scaled_excesses(
    const proba_t* z,       # IN  (n, k) logits
    Py_ssize_t n,
    const Task* task,
    const double* excess,   # IN  (n,)
    double* linear,         # IN/OUT (n,): the loss
) noexcept nogil:
    # log(1 + excess) times row_scale, also where the excess is too small for a double.
    cdef Py_ssize_t i, j, k = task.n_columns
    cdef double scale = task.row_scale, top, half, small, tail
    for i in range(n):
        if k == 1:
            linear[i] *= scale
        if excess[i] >= MIN_SCALE:
            linear[i] += scale * log_excess(excess[i])
            continue
        top = absolute(z[i * k])
        if k > 1:
            top = z[i * k]
            for j in range(1, k):
                top = larger(z[i * k + j], top)
        small = 0
        tail = 0
        for j in range(k):
            # Twice half of the distance to the top; of one logit, to a zero.
            half = 0.5 * (top if k == 1 else distance(top, z[i * k + j]))
            if half > 0:
                half = exp_nonpositive(-half)
                add_compensated(&small, &tail, half * scale * half)
        linear[i] += small + tail


cdef void score_block(
    const label_t* y,       # IN  (n,) labels or targets, or (n, n_columns) targets
    const proba_t* p,       # IN  (n, n_columns)
    const double* w,        # IN  (n,) or NULL
    Py_ssize_t n,
    const Task* task,
    Partial* part,          # OUT
    uint8_t* seen,          # IN/OUT (n_columns,)
    double* scratch,        # (4, n_columns, task.group)
    const Outputs* out,
    Py_ssize_t first_out,   # row of `out` that is row 0 here
) noexcept nogil:
    cdef double margin[TILE]
    cdef double factor[TILE]  # q, or for logits its excess over 1
    cdef double linear[TILE]
    cdef double gradient[TILE]
    cdef double hessian[TILE]
    cdef double buffer[TILE]
    cdef Lanes lanes
    cdef Py_ssize_t i, at, first = 0, m, k = task.n_columns
    cdef Py_ssize_t step = k if task.soft else 1
    cdef bint derive = out.gradient.data != NULL
    cdef bint soft = task.soft
    cdef bint targets = soft or task.target_offset != 0
    cdef bint plain = not (targets or task.from_logits)  # the loss is that of block()
    cdef const double* weights
    cdef int status
    start(part)
    start_lanes(&lanes)
    while first < n:
        m = TILE if n - first > TILE else n - first
        weights = NULL if w == NULL else w + first
        if task.check_only and (task.from_logits or not soft):
            if task.from_logits:
                status = check_scores(
                    y + first * step, p + first * k, m, task, scratch, seen,
                    &part.n_ones,
                )
            else:
                status = load(
                    y + first, p + first * k, m, task, factor, &part.n_ones, seen
                )
            note(part, status, first)
            if status & ~_BAD_ROW_SUM:
                return
            first += m
            continue
        if not task.from_logits:
            for i in range(m):
                factor[i] = 1.0
                linear[i] = 0.0
        if k == 1:
            at = first_out + first
            fetch_ahead(cached(&out.gradient), at, m, size_of(out.gradient.kind))
            fetch_ahead(cached(&out.hessian), at, m, size_of(out.hessian.kind))
            if task.from_logits and targets:
                status = soft_logits(
                    y + first, p + first, m, task, factor, linear, gradient, hessian,
                    &part.n_ones,
                )
            elif task.from_logits:
                status = hard_logits(
                    y + first, p + first, m, margin, factor, linear, &part.n_ones
                )
                if derive:
                    hard_derivatives(y + first, margin, factor, m, gradient, hessian)
            elif targets:
                status = binary_probas(
                    y + first, p + first, m, task, soft, linear,
                    gradient if derive else NULL, hessian, &part.n_ones,
                )
            else:
                status = hard_probas(
                    y + first, p + first, m, task, out, 0, NULL, scratch, seen,
                    factor, gradient, hessian, &part.n_ones,
                )
            if derive and not status:
                store_rows(out, at, m, 1, weights, task, gradient, hessian, buffer)
        elif task.from_logits:
            status = multiclass_logits(
                y + first * step, p + first * k, m, task, soft, out,
                first_out + first, weights, scratch, seen, factor, linear,
            )
        elif plain:
            status = hard_probas(
                y + first, p + first * k, m, task, out, first_out + first, weights,
                scratch, seen, factor, NULL, NULL, &part.n_ones,
            )
        else:
            status = multiclass_probas(
                y + first * step, p + first * k, m, task, soft, out,
                first_out + first, weights, scratch, seen, linear,
            )
        note(part, status, first)
        if status & ~_BAD_ROW_SUM:
            return
        for i in range(m, TILE):
            factor[i] = 0.0 if task.from_logits else 1.0
            linear[i] = 0.0
        if plain and w != NULL and out.rows == NULL:
            add_tile(factor, weights, m, task, part)
            first += m
            continue
        if not task.use_product:
            # Tiny clipped probabilities, or none: no product of them is normal.
            for i in range(m):
                linear[i] -= log_any(factor[i])
                factor[i] = 1.0
        if task.row_scale != 1 and task.from_logits:
            add_scaled_excesses(p + first * k, m, task, factor, linear)
        elif (out.rows != NULL or w != NULL) and task.from_logits:
            add_log_excesses(factor, linear)
        elif out.rows != NULL or w != NULL:
            log_array(factor, TILE, factor)
            for i in range(TILE):
                linear[i] -= factor[i]
        if out.rows != NULL:
            for i in range(m):
                out.rows[first_out + first + i] = linear[i]
        elif w != NULL:
            add_terms(linear, weights, m, part)
        else:
            if task.from_logits:
                multiply_excess_tile(factor, &lanes)
            else:
                multiply_plain_tile(factor, &lanes)
            add_compensated(&part.loss, &part.loss_tail, tree_sum(linear, TILE))
        first += m
    if out.gradient.stream or out.hessian.stream:
        stream_end()
    fold_lanes(&lanes, part)
