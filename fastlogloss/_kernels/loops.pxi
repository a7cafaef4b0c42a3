# The kernels. Included by _base.pyx, _v3.pyx and _v4.pyx, which differ in nothing but
# the compiler flags of setup.py. Longer than 300 lines for its imports and the design.
#
# Design
# A. A tile (256 rows) goes through three steps, with buffers in the first-level cache
#    between them. load.h makes doubles and codes of whatever the arrays hold. A row
#    loss checks them and makes factor and linear of each row. A sink takes these to
#    where they are wanted. Row loss and sink are pointers that prepare() sets: a call
#    for each tile costs less than a hundredth. Rejected: one fused loop per
#    combination. It needs more accumulators than there are vector registers (measured
#    1.2 ns a row in cache, this design 0.7), and a copy of the loop for each of weights
#    x labels x dtypes. Codes that are float64, or integers of 1, 4 or 8 bytes, are
#    read by the loops themselves, for 0.2 of 0.7 ns.
# B. Scores and labels are not fetched ahead: the processor follows a few arrays that
#    are read from one end to the other by itself. Weights are needed only after the
#    logarithms of their tile and are asked for at its beginning. Rejected: to fetch
#    what lies 4 KiB ahead of each 32 rows; ms for 1e7 rows (Zen 4, AVX-512), fetched
#    and not: int64 labels 7.1, 5.4; pairs 10.3, 8.8; every second score 11.6, 7.9;
#    logits 15.1, 13.1. Weighted rows: nothing fetched 23, so 16.
# C. Unweighted rows need no logarithm: sum(log q) = log(product q), the product kept
#    as an unevaluated sum h + l of two doubles and an integer exponent. Factors are at
#    least 2^-56, so that 16 of them, and the errors of their product, stay normal
#    numbers; then the exponent moves to the integer. The 16 are a tree in registers
#    (product_of_16() of scalar.h, whose errors take one addition each); the lanes keep
#    h + l. Rejected: h + l in the tree, twice the operations for less than a rounding
#    error; a plain product, wrong from the 4th digit where every q is near 1.
# D. Weighted rows take one logarithm each, summed by a tree over the tile (depth 8)
#    and in compensated sums across tiles. An eps below 2^-56 goes the same way with
#    unit weights. Bound: 8 roundings of the tree + 1 ULP of the log + 1 of the weight,
#    1.3e-15; the tests assert 2e-15.
# E. Probabilities that need no clip, all but the saturated, pay one range check on
#    their bits; a tile that fails it is looked at again, exactly, and clipped.
#    Rejected: clip always; gcc turns the two selects of a clip into three blends.
# F. Blocks, tiles and lanes are fixed by n_columns alone and merged in order: the same
#    bits for every thread count, instruction set and memory layout. Tails are padded
#    with the neutral row (q = 1, weight 0).
# G. Pure: no Python, no allocation, no I/O inside; threads only in run(), and only by
#    way of the pool.
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
# O. There are two kinds of sums. Those of a block are doubles and merge in the order of
#    blocks (design F). Exact sums are integers, one set for each thread, and merge in
#    any order (exact.h).

cimport cython
cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport floor, isfinite, isinf
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, llabs, malloc
from libc.string cimport memcpy, memset

from fastlogloss._kernels._pool cimport run_pieces
from fastlogloss._kernels.exact cimport (
    FLL_BELOW,
    FLL_DIGIT,
    FLL_DIGITS,
    FLL_LEAST,
    FLL_MOST,
    FLL_UNIT,
    add_double,
    add_exactly,
    add_quads,
    cut_digit,
    cutter,
    exponents,
    rounded,
    settle,
    top_of,
)
from fastlogloss._kernels.load cimport (
    FLL_FLOAT16,
    FLL_FLOAT32,
    FLL_FLOAT64,
    FLL_INT8,
    FLL_INT16,
    FLL_INT32,
    FLL_INT64,
    FLL_UINT8,
    FLL_UINT16,
    FLL_UINT32,
    FLL_UINT64,
    Classes,
    View,
    class_key,
    fetch_column,
    first_two,
    hash_of,
    load_bits,
    load_codes,
    load_doubles,
    load_each,
    load_labels,
    load_whole,
    one_column,
    size_of_kind,
    store_items,
)
from fastlogloss._kernels.rows cimport (
    add_columns,
    pair_to_columns,
    pair_to_rows,
    stream,
    stream_end,
    subtract_rows,
    sum_four_rows,
    sum_wide_row,
    value,
)
from fastlogloss._kernels.scalar cimport (
    FLL_BIAS,
    FLL_FLOOR,
    FLL_SHIFT,
    absolute,
    biased_exponent,
    check,
    choose,
    exp_nonpositive,
    exp_rest,
    exponent_rest,
    excess_of_16,
    fetch,
    fetch_ahead,
    from_bits,
    larger,
    log_any,
    log_excess,
    log_normal,
    log_product,
    mantissa,
    outside,
    outside_unit,
    prefetch,
    prefetch_l2,
    product_error,
    product_of_16,
    shifted_exponent,
    sum_error,
    times_power,
    to_bits,
    void_256bit,
)
from fastlogloss._kernels.vector cimport (
    exp_array,
    exp_column,
    free_buffer,
    log_array,
    new_buffer,
    sum_compensated,
    tree_sum,
)

import weakref

cnp.import_array()

cdef enum:
    TILE = 256
    PAIRS = 512
    HALF_TILE = 128
    LANES = 16        # partial products of a tile: TILE / LANES = 16 factors each
    STRIP = 32
    SHARED = 4        # models that are scored together: rows of subtract_rows()
    WIDE = 32         # columns from which a row is summed by itself
    PLAIN = 32        # columns that are added without compensation, or of losses
    PLAIN_LOSSES = 16  # so many, if there are no more (design M)
    MAX_GROUP = 64    # rows of several columns that are worked on together,
    GROUP_VALUES = 4096  # in buffers of about this size
    CONVERTED = 1024  # numbers that are converted at once
    SUMMED = 4        # rows that are summed together below that
    STREAM_BYTES = 1 << 24  # of an output that is written past the caches
    WAVE = 2048       # blocks between two looks at pending signals
    BLOCK_VALUES = 16384
    SCRATCH_VALUES = 1 << 25  # in the buffers of all threads: 256 MB
    MAX_SHORT = 64    # columns of a call that takes the short way

cdef enum:
    # How the probabilities of two classes lie: of the second class alone, both in a
    # row, or each in a column.
    SINGLE = 0
    PAIRED = 1
    SPLIT = 2

cdef enum:
    _BAD_LABEL = 1
    _BAD_PROBA = 2
    _BAD_ROW_SUM = 4
    _BAD_SCORE = 8
    _BAD_TARGET = 16
    _BAD_WEIGHT = 32

BAD_LABEL = _BAD_LABEL
BAD_PROBA = _BAD_PROBA
BAD_ROW_SUM = _BAD_ROW_SUM
BAD_SCORE = _BAD_SCORE
BAD_TARGET = _BAD_TARGET
BAD_WEIGHT = _BAD_WEIGHT

cdef enum:
    # Buffers of a group of rows, see area(): what is computed, and what is not read in
    # place.
    GRADIENT = 0
    HESSIAN = 1
    SHARES = 2
    STORE = 3
    COMPUTED = 4
    ROWS = 4
    TARGETS = 5
    ITEMS = 6
    AREAS = 7

cdef double MIN_FACTOR = 2.0 ** -56
cdef double MAX_TOP = 2048.0  # design L; at least twice 746, where exp(-x) is 0
cdef double MIN_EXP = 2.0 ** -1018  # times 2^-128 it is 0; see FLL_FLOOR
cdef double MIN_SCALE = 2.0 ** -1000  # of what is multiplied by nearly 2^128
cdef double HUGE = 2.0 ** 1000  # logits so large may be further apart than a double
cdef double MIN_SUM = 2.0 ** -1020  # of losses, for each row: see in_range()


cdef struct Task:
    # What scores and targets mean: the struct of a Spec.
    double low              # clip to [low, high]
    double high
    uint64_t inner_low      # bits: p in [inner_low, inner_high] needs no clip,
    uint64_t inner_high     # and neither does 1 - p
    double flat_low         # derivatives of p are 0 up to here, and from there on
    double flat_high
    double tolerance        # of a row's sum around 1
    Py_ssize_t n_columns    # 1: p of the positive class
    # Rows of a group. Not a constant: gcc unrolls short loops of known length before it
    # could vectorise them.
    Py_ssize_t group
    bint use_product        # design C, else D
    bint from_logits
    bint soft               # y are targets in [0, 1], a row of them per class
    bint targets            # they are, or labels are smoothed
    double target_tolerance  # of the sum of a row of targets around 1
    double target_slope     # target = slope * label + offset
    double target_offset


cdef struct Output:
    View view               # no data: not asked for
    bint plain              # rows follow one another
    bint stream             # plain doubles, and more of them than caches hold


cdef struct Call
cdef struct Tile
cdef struct Ledger
cdef struct Groups

# Loads rows of a tile, checks them, and turns them into factor and linear; derivatives
# it stores. Returns the union of BAD_*.
ctypedef int (*loss_function)(const Call*, Tile*) noexcept nogil
# Takes factor and linear of a tile to wherever they are wanted. Returns a BAD_*, or 0.
ctypedef int (*sink_function)(const Call*, Tile*) noexcept nogil


cdef struct Call:
    # One call: what is read and written, how, and how it is cut into pieces.
    const Task* task
    View y                  # labels or targets
    View p                  # scores of the first cell
    View w                  # weights, or no data
    Classes classes
    Output rows
    Output gradient
    Output hessian          # not without the gradient
    double scale            # of the derivatives
    double hessian_factor
    double row_scale        # of the losses of rows, a power of 2 (design N)
    bint check_only         # validate, compute nothing
    bint derive             # there is a gradient
    bint in_place           # p, and targets, are doubles that are read in place
    bint common_codes       # y holds codes of a label_t, in place
    bint as_bytes           # if not, they become bytes; otherwise doubles
    bint exact              # exact sums are wanted
    bint by_group           # those of each group are
    bint has_codes          # the row loss leaves them in the tile
    # A row's loss is linear - log(factor), or linear + log(1 + factor).
    bint has_linear
    bint has_factor
    bint is_excess
    loss_function loss
    sink_function sink
    Py_ssize_t n            # rows
    Py_ssize_t block_rows
    Py_ssize_t n_cells      # models, each with scores of its own
    Py_ssize_t cell         # bytes from the scores of a cell to those of the next
    Py_ssize_t n_groups     # of cells: a block of a group is one piece of work
    Py_ssize_t wave         # blocks between two looks at pending signals
    bint shared             # share_block() does it
    int n_threads
    Py_ssize_t scratch_size  # of a thread


cdef struct Partial:
    # The mergeable sums over some rows.
    double h                # product of q = (h + l) * 2^exponent     (design C)
    double l
    int64_t exponent
    double loss             # -sum(w * log q) = loss + loss_tail      (design D)
    double loss_tail
    double weight           # sum(w) = weight + weight_tail
    double weight_tail
    uint64_t signs          # bit 63: some weight is negative, or -0.0
    int64_t n_ones          # rows of label 1, where n_columns == 1
    Py_ssize_t bad_sum_from  # first row of a tile with a bad sum, or -1
    int status


cdef struct Lanes:
    # Partial products of the tiles of a block: (h + l) * 2^(exponent - 1024 tiles).
    # No more than 32 tiles: h is then no further from 1 than 2^16.
    double h[LANES]
    double l[LANES]
    uint64_t exponent[LANES]
    int64_t tiles


cdef struct Tile:
    # What loads, losses and sinks hand on: up to 256 rows, in the first-level cache.
    Py_ssize_t first        # row of the call
    Py_ssize_t n
    const View* p           # scores of the cell
    const double* w         # (n,) weights, or NULL
    Partial* part
    uint8_t* seen           # (n_columns,)
    double* scratch         # (scratch_size,)
    Ledger* ledger          # exact sums, or NULL
    Groups* groups          # those of each group, or NULL
    Lanes lanes
    double factor[TILE]
    double linear[TILE]
    double gradient[TILE]   # of one column
    double hessian[TILE]
    double labels[TILE]     # the rest receives what is not read in place
    double scores[PAIRS]
    double weights[TILE]
    double items[PAIRS]
    Py_ssize_t code[TILE]


cdef struct Checks:
    # What the loads of a tile found; looked at once, at its end.
    uint64_t not_label      # not 0: some label is not 0 or 1
    uint64_t ones           # the sum of what codes are counted by
    int64_t n_ones          # labels that are 1
    uint64_t off            # bit 62 or 63: some p may be outside [0, 1]
    uint64_t saturated      # bit 63: some q may need a clip
    int sums                # 0: some row does not sum to one


include "tiles.pxi"
include "sinks.pxi"
include "sinks_exact.pxi"
include "sinks_groups.pxi"
include "loss_probabilities.pxi"
include "loss_logits.pxi"
include "loss_softmax.pxi"
include "loss_targets.pxi"
include "runner.pxi"
include "views.pxi"
include "binding.pxi"
include "short.pxi"
include "ledgers.pxi"
include "groups.pxi"
include "helpers.pxi"
