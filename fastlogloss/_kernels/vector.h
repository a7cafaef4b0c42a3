/* Logarithms, exponentials and sums of arrays: scalar.h in loops over buffers that lie
   in the first-level cache, each in short loops (design C there). */
#ifndef FASTLOGLOSS_VECTOR_H
#define FASTLOGLOSS_VECTOR_H

#include "scalar.h"

#include <stdlib.h>

#define FLL_BUFFER 256 /* numbers of the longest array */
#define FLL_LINE 64    /* bytes of a line of the caches, and of the longest vector */

/* A buffer of n numbers that begins with a line, or NULL. Where columns of 8 rows did
   not, each of their vectors was in two lines (1000 classes: 1.3 times the time). */
FLL_INLINE double *new_buffer(size_t n)
{
    char *raw = malloc(n * sizeof(double) + FLL_LINE), *first;
    if (!raw)
        return NULL;
    first = raw + FLL_LINE - ((uintptr_t)raw & (FLL_LINE - 1));
    first[-1] = (char)(first - raw); /* 1 to 64 */
    return (double *)first;
}

FLL_INLINE void free_buffer(double *buffer)
{
    char *first = (char *)buffer;
    if (first)
        free(first - first[-1]);
}

/* Rows by which the divisions are ahead of the multiplications. */
#define FLL_LEAD 32

/* out = log(x), of positive normal numbers. */
FLL_INLINE void log_array(const double *x, ptrdiff_t n, double *out)
{
    double e[FLL_BUFFER], f[FLL_BUFFER], s[FLL_BUFFER], series[FLL_BUFFER];
    const ptrdiff_t lead = n < FLL_LEAD ? n : FLL_LEAD;
    ptrdiff_t i;
    for (i = 0; i < lead; ++i)
        s[i] = start_log(x[i], e + i, f + i);
    for (i = 0; i < n - FLL_LEAD; ++i) {
        const ptrdiff_t j = i + FLL_LEAD;
        s[j] = start_log(x[j], e + j, f + j);
        series[i] = log_series(s[i]);
    }
    for (i = n - lead; i < n; ++i)
        series[i] = log_series(s[i]);
    for (i = 0; i < n; ++i)
        out[i] = finish_log(e[i], f[i], s[i], series[i]);
}

/* The sum of n numbers, `stride` apart, as a tree: those of even and of odd places. */
FLL_INLINE double sum_of_2(const double *x, ptrdiff_t stride)
{
    return x[0] + x[stride];
}

#define FLL_TWICE(name, half)                                                          \
    FLL_INLINE double name(const double *x, ptrdiff_t stride)                          \
    {                                                                                  \
        return half(x, 2 * stride) + half(x + stride, 2 * stride);                     \
    }
FLL_TWICE(sum_of_4, sum_of_2)
FLL_TWICE(sum_of_8, sum_of_4)
FLL_TWICE(sum_of_16, sum_of_8)
FLL_TWICE(sum_of_32, sum_of_16)
FLL_TWICE(sum_of_64, sum_of_32)

/* The sum of 128 or 256 numbers as a tree of halves: x[i] + x[n / 2 + i], and so on. In
   registers, four lanes at a time: a loop over an array for each of the levels took
   1.6 times the cycles for the sums of a weighted tile (AVX2: 230 instead of 144). */
FLL_INLINE double tree_sum(const double *x, ptrdiff_t n)
{
    double lane[4];
    ptrdiff_t i;
    FLL_CHECK(n == 128 || n == 256);
    for (i = 0; i < 4; ++i)
        lane[i] = n == 128 ? sum_of_32(x + i, 4) : sum_of_64(x + i, 4);
    return sum_of_4(lane, 1);
}

/* total + tail is the sum of n numbers, `size` that of their sizes. In eight lanes, and
   all that an addition rounds off is added up, too. */
FLL_INLINE void sum_compensated(const double *x, ptrdiff_t n, double *total,
                                double *tail, double *size)
{
    double sum[8] = {0.0}, error[8] = {0.0}, absolutes[8] = {0.0}, next;
    ptrdiff_t i = 0, j;
    for (; i < n; i += 8) {
        const ptrdiff_t m = n - i < 8 ? n - i : 8;
        for (j = 0; j < m; ++j) {
            next = sum[j] + x[i + j];
            error[j] += sum_error(sum[j], x[i + j], next);
            sum[j] = next;
            absolutes[j] += absolute(x[i + j]);
        }
    }
    *total = *tail = *size = 0.0;
    for (j = 0; j < 8; ++j) {
        next = *total + sum[j];
        *tail += sum_error(*total, sum[j], next) + error[j];
        *total = next;
        *size += absolutes[j];
    }
}

/* out = exp(-|x|) */
FLL_INLINE void exp_array(const double *x, ptrdiff_t n, double *out)
{
    double shifted[FLL_BUFFER];
    ptrdiff_t i;
    for (i = 0; i < n; ++i)
        out[i] = start_exp(-absolute(x[i]), shifted + i);
    for (i = 0; i < n; ++i)
        out[i] = exp_rest(out[i]);
    for (i = 0; i < n; ++i)
        out[i] = finish_exp(out[i], shifted[i]);
}

/* One column of exponentials, of `n` rows. What is as large as `most` of its row is
   counted in `ones`, all else added to `rest`. */
FLL_INLINE void exp_column(const double *least, const double *shift, const double *most,
                         ptrdiff_t n, double smallest, double *x, double *rest,
                         double *ones)
{
    double shifted[FLL_BUFFER];
    ptrdiff_t i;
    for (i = 0; i < n; ++i) {
        const double z = larger(least[i], x[i]);
        shifted[i] = shifted_exponent(z, shift[i]);
        x[i] = exponent_rest(z, shifted[i] - shift[i]);
    }
    for (i = 0; i < n; ++i)
        x[i] = exp_rest(x[i]);
    for (i = 0; i < n; ++i) {
        const double y = times_power(x[i], shifted[i]);
        const double e = y < smallest ? 0.0 : y; /* of a logit below `least` */
        const uint64_t same = 0 - (uint64_t)(e == most[i]);
        x[i] = e;
        rest[i] += choose(same, 0.0, e);
        ones[i] += choose(same, 1.0, 0.0);
    }
}

#endif
