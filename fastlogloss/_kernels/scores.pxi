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
# L. Exponents are differences of logits, rounded: exp() would turn the absolute error
#    into a relative one of up to 700 ULP. The rounding error of the difference is
#    exact to get (sum_error) and is put back to first order.

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
    double* excess,         # OUT (n,)
    double* linear,         # OUT (n,)
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double m, a
    cdef uint64_t bad = 0, ones = 0, nan = 0
    for i in range(n):
        bad |= bad_target(y[i], False)
        if label_t is double:
            ones += to_bits(y[i])
        else:
            ones += <uint64_t>y[i]
        m = from_bits(to_bits(z[i]) ^ label_sign(y[i]))
        a = absolute(m)
        nan |= is_nan(a)
        margin[i] = m
        excess[i] = exp_nonpositive(-a)
        linear[i] = m if m > 0 else 0.0
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
        fetch_ahead(<const char*>y, i, STRIP, sizeof(label_t))
        fetch_ahead(<const char*>z, i, STRIP, sizeof(proba_t))
        hard_logits_strip(
            y + i, z + i, STRIP, &checks, margin + i, excess + i, linear + i
        )
        i += STRIP
    if i < n:
        hard_logits_strip(
            y + i, z + i, n - i, &checks, margin + i, excess + i, linear + i
        )
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
    cdef double t, x, a, e, near, far, share
    cdef uint64_t negative, nan = 0
    cdef int status = check_targets(y, n, task.soft, n_ones)
    for i in range(n):
        x = z[i]
        t = <double>y[i] * task.target_slope + task.target_offset
        a = absolute(x)
        nan |= is_nan(a)
        e = exp_nonpositive(-a)
        excess[i] = e
        negative = sign_mask(x)
        share = choose(negative, t, 1.0 - t)  # of the target beyond 0
        linear[i] = a * share if share > 0 else 0.0
        near = 1.0 / (1.0 + e)
        far = e * near
        hessian[i] = near * far
        gradient[i] = (1.0 - t) * choose(negative, far, near) - t * choose(
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
    cdef double x, other, t, a, b
    cdef int status = exact_targets(y, n, soft)
    if status:
        return status
    for i in range(n):
        x = p[i]
        if not 0 <= x <= 1:
            return _BAD_PROBA
        other = 1.0 - x
        t = <double>y[i] * task.target_slope + task.target_offset
        # A target of zero silences an impossible event.
        a = 0.0 if t == 0 else t * clipped_log(x, task)
        b = 0.0 if t == 1 else (1.0 - t) * clipped_log(other, task)
        linear[i] = 0.0 - (a + b)
        if gradient != NULL:
            a = clipped_inverse(x, task) if t != 0 else 0.0
            b = clipped_inverse(other, task) if t != 1 else 0.0
            gradient[i] = (1.0 - t) * b - t * a
            if hessian != NULL:
                hessian[i] = (1.0 - t) * b * b + t * a * a
        if not soft:
            n_ones[0] += y[i] != 0
    return 0


cdef inline double distance(double x, double y) noexcept nogil:
    # x - y, 0 for equal infinities.
    return 0.0 if x == y else x - y


cdef inline double exp_difference(double x, double top) noexcept nogil:
    # exp(x - top) for x <= top < inf (design L); NaN stays NaN.
    cdef double d = x - top
    cdef double e = exp_nonpositive(d)
    # x = -inf: the error is NaN and e is 0. larger() makes something finite of it.
    return e + e * larger(sum_error(x, -top, d), -1.0)


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
                if not 0 <= y[i * k + j] <= 1:
                    return _BAD_TARGET
                t[i * k + j] = y[i * k + j] * task.target_slope + task.target_offset
                total += y[i * k + j]
            if not absolute(total - 1.0) <= TARGET_TOLERANCE:
                return _BAD_TARGET
        return 0
    for i in range(m):
        code[i] = class_code(y[i], k, &bad)
        if bad:
            return _BAD_LABEL
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
    for j in range(k // 4 * 4):
        if j % 4 == 0:  # four columns at a time
            for i in range(m):
                columns[j * g + i] = x[i * k + j]
                columns[j * g + g + i] = x[i * k + j + 1]
                columns[j * g + 2 * g + i] = x[i * k + j + 2]
                columns[j * g + 3 * g + i] = x[i * k + j + 3]
    for j in range(k // 4 * 4, k):
        for i in range(m):
            columns[j * g + i] = x[i * k + j]
    if m < g:
        for j in range(k):
            for i in range(m, g):
                columns[j * g + i] = 0.0


cdef inline void from_columns(
    const double* columns,  # IN  (k, g)
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    char* out,              # OUT rows `first` to `first + m` of (.., k)
    int kind,
    Py_ssize_t first,
) noexcept nogil:
    cdef Py_ssize_t i, j
    if kind == FLOAT64:
        turn(columns, m, k, g, <double*>out + first * k)
    else:
        turn(columns, m, k, g, <float*>out + first * k)


cdef inline void turn(
    const double* columns,
    Py_ssize_t m,
    Py_ssize_t k,
    Py_ssize_t g,
    proba_t* out,           # OUT (m, k)
) noexcept nogil:
    cdef Py_ssize_t i, j
    for j in range(k // 4 * 4):
        if j % 4 == 0:  # four columns at a time
            for i in range(m):
                out[i * k + j] = <proba_t>columns[j * g + i]
                out[i * k + j + 1] = <proba_t>columns[j * g + g + i]
                out[i * k + j + 2] = <proba_t>columns[j * g + 2 * g + i]
                out[i * k + j + 3] = <proba_t>columns[j * g + 3 * g + i]
    for j in range(k // 4 * 4, k):
        for i in range(m):
            out[i * k + j] = <proba_t>columns[j * g + i]


cdef inline uint64_t softmax_group(
    double* e,              # IN  (k, g) logits, OUT exponentials
    Py_ssize_t k,
    Py_ssize_t g,
    double* top,            # OUT (g,): the maximum of a row
    double* rest,           # OUT (g,): sum of a row, but for one that is 1
    const char* z,          # where the logits were read from, and
    const Outputs* out,     # where row `first` of the derivatives
    Py_ssize_t first,       # will go: memory to fetch on the way
    Py_ssize_t size,        # bytes of a logit
) noexcept nogil:
    # Returns bit 63 set if there is a NaN.
    cdef double ones[MAX_GROUP]
    cdef double finite[MAX_GROUP]
    cdef double x
    cdef uint64_t one, bad = 0
    cdef Py_ssize_t i, j, at
    for i in range(g):
        top[i] = e[i]
        rest[i] = 0.0
        ones[i] = -1.0
    for j in range(k):
        for i in range(g):
            top[i] = larger(e[j * g + i], top[i])
    for i in range(g):
        finite[i] = top[i]
        if isinf(top[i]):
            finite[i] = 0.0
            # The limit: what is infinite shares everything.
            for j in range(k):
                if not isnan(e[j * g + i]):
                    e[j * g + i] = 0.0 if e[j * g + i] == top[i] else -INFINITY
    for j in range(k):
        at = first * k + j * g
        fetch_ahead(z, j * g, g, size)
        fetch_ahead(out.gradient, at, g, size_of(out.gradient_kind))
        fetch_ahead(out.hessian, at, g, size_of(out.hessian_kind))
        for i in range(g):
            x = exp_difference(e[j * g + i], finite[i])
            e[j * g + i] = x
            one = 0 - <uint64_t>(x == 1.0)
            rest[i] += choose(one, 0.0, x)
            ones[i] += choose(one, 1.0, 0.0)
    for i in range(g):
        rest[i] += ones[i]
        bad |= is_nan(rest[i])
    return bad


cdef inline void softmax_derivatives(
    double* e,              # IN  (k, g) exponentials, OUT gradient
    Py_ssize_t k,
    Py_ssize_t g,
    Py_ssize_t m,
    const double* rest,     # IN  (g,)
    const Py_ssize_t* code,  # IN  (m,) true classes, or
    const double* t,        # IN  (k, g) targets
    const double* scale,    # IN  (g,)
    double hessian_factor,
    double* hessian,        # OUT (k, g), or NULL
) noexcept nogil:
    cdef double inverse[MAX_GROUP]
    cdef double not_top[MAX_GROUP]
    cdef double total[MAX_GROUP]
    cdef double p
    cdef Py_ssize_t i, j
    for i in range(g):
        inverse[i] = 1.0 / (1.0 + rest[i])
        not_top[i] = rest[i] * inverse[i]
        total[i] = 1.0
    if t != NULL:
        for i in range(g):
            total[i] = 0.0
        for j in range(k):
            for i in range(g):
                total[i] += t[j * g + i]
    if hessian != NULL:
        for j in range(k):
            for i in range(g):
                p = e[j * g + i] * inverse[i]
                hessian[j * g + i] = scaled(
                    p * total[i] * choose(
                        sign_mask(e[j * g + i] - 1.0), 1.0 - p, not_top[i]
                    ),
                    scale[i] * hessian_factor,
                )
    for i in range(m if t == NULL else 0):
        # p - 1 of the likeliest class is minus the sum of the others.
        j = code[i] * g + i
        p = e[j] * inverse[i]
        total[i] = p - 1.0 if e[j] < 1.0 else -not_top[i]
    for j in range(k):
        for i in range(g):
            p = e[j * g + i] * inverse[i]
            if t != NULL:
                # total p - t, without the cancellation where both are near 1.
                p = p * (total[i] - t[j * g + i]) - t[j * g + i] * choose(
                    sign_mask(e[j * g + i] - 1.0), 1.0 - p, not_top[i]
                )
            e[j * g + i] = scaled(p, scale[i])
    for i in range(m if t == NULL else 0):
        e[code[i] * g + i] = scaled(total[i], scale[i])


cdef inline double scaled(double x, double scale) noexcept nogil:
    # A weight of zero silences even an infinite derivative.
    cdef uint64_t zero = 0 - <uint64_t>(scale == 0)
    return choose(zero, 0.0, x * scale)


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
    cdef double rest[MAX_GROUP]
    cdef double scale[MAX_GROUP]
    cdef Py_ssize_t i, j, m, k = task.n_columns, g = task.group, start = 0
    cdef bint targets = soft or task.target_offset != 0
    cdef double* e = scratch
    cdef double* hessian = e + k * g
    cdef double* t = hessian + k * g
    cdef const proba_t* rows
    cdef double total, loss
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
            e, k, g, top, rest, <const char*>rows, out, first + start, sizeof(proba_t)
        ) >> 63:
            return _BAD_SCORE
        for i in range(m):
            excess[start + i] = rest[i]
            if targets:
                loss = 0
                total = 0
                for j in range(k):
                    if t[j * g + i] != 0:
                        loss += t[j * g + i] * distance(top[i], rows[i * k + j])
                        total += t[j * g + i]
                # The targets' sum is 1 within a tolerance; the loss knows it exactly.
                linear[start + i] = loss + (total - 1.0) * log_excess(rest[i])
            else:
                linear[start + i] = distance(top[i], rows[i * k + code[i]])
        if out.gradient != NULL:
            for i in range(g):
                scale[i] = task.scale
            for i in range(m if w != NULL else 0):
                scale[i] *= w[start + i]
            softmax_derivatives(
                e, k, g, m, rest, code, t if targets else NULL, scale,
                task.hessian_factor, hessian if out.hessian != NULL else NULL,
            )
            from_columns(
                e, m, k, g, out.gradient, out.gradient_kind, first + start
            )
            if out.hessian != NULL:
                from_columns(
                    hessian, m, k, g, out.hessian, out.hessian_kind, first + start
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
    cdef const proba_t* rows
    cdef double x, total, loss
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
            for j in range(k):
                x = rows[i * k + j]
                if not 0 <= x <= 1:
                    return _BAD_PROBA
                total += x
            if not absolute(total - 1.0) <= task.tolerance:
                sums = _BAD_ROW_SUM
            for j in range(k):
                x = t[i * k + j]
                g[i * k + j] = 0
                second[i * k + j] = 0
                if x != 0:
                    loss += x * clipped_log(rows[i * k + j], task)
                    total = clipped_inverse(rows[i * k + j], task)
                    g[i * k + j] = -x * total
                    second[i * k + j] = x * total * total
            linear[start + i] = 0.0 - loss
        if out.gradient != NULL:
            store_rows(out, first + start, m, k, w, start, task, g, second)
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
    cdef double inverse, low = task.flat_low, high = task.flat_high
    cdef int bad = 0
    cdef int status = load(y, p, n, task, q, n_ones, seen)
    if out.gradient == NULL or status & ~_BAD_ROW_SUM:
        return status
    if k == 1:
        for i in range(n):
            inverse = 1.0 / q[i]
            inverse = inverse if q[i] > low else 0.0
            inverse = inverse if q[i] < high else 0.0
            hessian[i] = inverse * inverse
            gradient[i] = from_bits(to_bits(inverse) ^ label_sign(y[i]))
        return status
    while start < n:
        m = task.group if n - start > task.group else n - start
        memset(g, 0, m * k * sizeof(double))
        memset(second, 0, m * k * sizeof(double))
        for i in range(m):
            j = i * k + class_code(y[start + i], k, &bad)
            inverse = clipped_inverse(q[start + i], task)
            g[j] = -inverse
            second[j] = inverse * inverse
        store_rows(out, first + start, m, k, w, start, task, g, second)
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
    cdef Py_ssize_t code[TILE]
    cdef Py_ssize_t i, k = task.n_columns
    cdef uint64_t score = 0
    cdef int status = 0
    for i in range(n * k):
        score |= is_nan(z[i])
    if k == 1:
        status = check_targets(y, n, task.soft, n_ones)
    else:
        for i in range(n):
            status |= rows_of_targets(
                y + i * (k if task.soft else 1), 1, task, task.soft, seen, code,
                scratch if task.soft else NULL,
            )
    return status | (_BAD_SCORE if score >> 63 else 0)


cdef inline void store_rows(
    const Outputs* out,
    Py_ssize_t first,       # row of out
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  or NULL
    Py_ssize_t start,       # row of w
    const Task* task,
    double* gradient,       # IN (n, k), destroyed
    double* hessian,        # IN (n, k), destroyed
) noexcept nogil:
    cdef double scale = task.scale
    store_scaled(
        out.gradient, out.gradient_kind, first, gradient, n, k, w, start, scale
    )
    if out.hessian != NULL:
        scale *= task.hessian_factor
        store_scaled(
            out.hessian, out.hessian_kind, first, hessian, n, k, w, start, scale
        )


cdef inline Py_ssize_t size_of(int kind) noexcept nogil:
    return 4 if kind == FLOAT32 else 8


cdef inline void store_scaled(
    char* out,              # OUT rows `first` to `first + n` of (.., k)
    int kind,
    Py_ssize_t first,
    double* x,              # IN  (n, k), destroyed
    Py_ssize_t n,
    Py_ssize_t k,
    const double* w,        # IN  or NULL
    Py_ssize_t start,       # row of w
    double scale,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double s
    cdef double* wide = <double*>out + first * k
    cdef float* narrow = <float*>out + first * k
    if w == NULL:
        if scale != 1.0:
            for i in range(n * k):
                x[i] *= scale
    elif k == 1:
        # A weight of zero silences even an infinite derivative.
        for i in range(n):
            x[i] = x[i] * (w[start + i] * scale) if w[start + i] != 0 else 0.0
    else:
        for i in range(n):
            s = w[start + i] * scale
            for j in range(k):
                x[i * k + j] = x[i * k + j] * s if s != 0 else 0.0
    if kind == FLOAT64:
        for i in range(n * k):
            wide[i] = x[i]
    else:
        for i in range(n * k):
            narrow[i] = <float>x[i]


cdef void score_block(
    const label_t* y,       # IN  (n,) labels or targets, or (n, n_columns) targets
    const proba_t* p,       # IN  (n, n_columns)
    const double* w,        # IN  (n,) or NULL
    Py_ssize_t n,
    const Task* task,
    Partial* part,          # OUT
    uint8_t* seen,          # IN/OUT (n_columns,)
    double* scratch,        # (3, n_columns, task.group)
    const Outputs* out,
    Py_ssize_t first_out,   # row of `out` that is row 0 here
) noexcept nogil:
    cdef double margin[TILE]
    cdef double factor[TILE]  # q, or for logits its excess over 1
    cdef double linear[TILE]
    cdef double gradient[TILE]
    cdef double hessian[TILE]
    cdef double lane_h[2 * LANES]
    cdef double lane_l[2 * LANES]
    cdef Py_ssize_t i, first = 0, m, k = task.n_columns
    cdef Py_ssize_t step = k if task.soft else 1
    cdef bint derive = out.gradient != NULL
    cdef bint soft = task.soft
    cdef const double* weights
    cdef int status
    start(part)
    start_lanes(lane_h, lane_l)
    while first < n:
        m = TILE if n - first > TILE else n - first
        weights = NULL if w == NULL else w + first
        if not task.from_logits:
            for i in range(m):
                factor[i] = 1.0
                linear[i] = 0.0
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
                part.status |= status & _BAD_ROW_SUM
                status &= ~_BAD_ROW_SUM
            part.status |= status
            if status:
                return
            first += m
            continue
        if k == 1:
            # What is written is read first, by the memory: fetch that ahead too.
            fetch_ahead(out.gradient, first_out + first, m, size_of(out.gradient_kind))
            fetch_ahead(out.hessian, first_out + first, m, size_of(out.hessian_kind))
            if task.from_logits and (soft or task.target_offset != 0):
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
            elif soft or task.target_offset != 0:
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
                store_rows(
                    out, first_out + first, m, 1, weights, 0, task, gradient, hessian
                )
        elif task.from_logits:
            status = multiclass_logits(
                y + first * step, p + first * k, m, task, soft, out,
                first_out + first, weights, scratch, seen, factor, linear,
            )
        elif not (soft or task.target_offset != 0):
            status = hard_probas(
                y + first, p + first * k, m, task, out, first_out + first, weights,
                scratch, seen, factor, NULL, NULL, &part.n_ones,
            )
        else:
            status = multiclass_probas(
                y + first * step, p + first * k, m, task, soft, out,
                first_out + first, weights, scratch, seen, linear,
            )
        part.status |= status
        if status & ~_BAD_ROW_SUM:
            return
        for i in range(m, TILE):
            factor[i] = 0.0 if task.from_logits else 1.0
            linear[i] = 0.0
        if not task.use_product:
            # Tiny clipped probabilities, or none: no product of them is normal.
            for i in range(m):
                linear[i] -= log_any(factor[i])
                factor[i] = 1.0
        if (out.rows != NULL or w != NULL) and task.from_logits:
            for i in range(TILE):
                linear[i] += log_excess(factor[i])
        elif out.rows != NULL or w != NULL:
            for i in range(TILE):
                linear[i] -= log_normal(factor[i])
        if out.rows != NULL:
            for i in range(m):
                out.rows[first_out + first + i] = linear[i]
        elif w != NULL:
            add_terms(linear, weights, m, part)
        else:
            if task.from_logits:
                part.exponent += multiply_excess_tile(factor, lane_h, lane_l)
            else:
                part.exponent += multiply_plain_tile(factor, lane_h, lane_l)
            add_compensated(&part.loss, &part.loss_tail, tree_sum(linear, TILE))
        first += m
    fold_lanes(lane_h, lane_l, part)
