/* Several rows of a matrix at a time: where loops over rows and loops over columns meet
   and gcc makes no shuffles of plain loops, nor keeps lanes in registers. Every function
   has its plain form, which does the same operations on each number.

   A 4 x 2 piece of the matrix is two vectors, one of its even and one of its odd rows;
   unpacked, they are its two columns. */
#ifndef FASTLOGLOSS_ROWS_H
#define FASTLOGLOSS_ROWS_H

#include "scalar.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#ifdef __AVX2__
#include <immintrin.h>

FLL_INLINE __m256d two_rows(const double *x, const double *y)
{
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(x)),
                                _mm_loadu_pd(y), 1);
}

FLL_INLINE __m256i outside_units(__m256d x)
{
    return _mm256_add_epi64(_mm256_castpd_si256(x),
                            _mm256_set1_epi64x(0xFFFFFFFFFFFFFll));
}

FLL_INLINE __m256i outsides(__m256d x, __m256i low, __m256i high)
{
    const __m256i bits = _mm256_castpd_si256(x);
    return _mm256_or_si256(_mm256_sub_epi64(bits, low), _mm256_sub_epi64(high, bits));
}

FLL_INLINE uint64_t any_bits(__m256i bits)
{
    const __m128i half = _mm_or_si128(_mm256_castsi256_si128(bits),
                                      _mm256_extracti128_si256(bits, 1));
    return (uint64_t)(_mm_cvtsi128_si64(half) | _mm_extract_epi64(half, 1));
}
#endif

/* Two neighbouring columns of n rows, x[i * k] and x[i * k + 1], to arrays of their
   own. */
FLL_INLINE void pair_to_columns(const double *x, ptrdiff_t k, ptrdiff_t n, double *a,
                                double *b)
{
    ptrdiff_t i = 0;
#ifdef __AVX2__
    for (; i + 4 <= n; i += 4) {
        const double *row = x + i * k;
        const __m256d even = two_rows(row, row + 2 * k);
        const __m256d odd = two_rows(row + k, row + 3 * k);
        _mm256_storeu_pd(a + i, _mm256_unpacklo_pd(even, odd));
        _mm256_storeu_pd(b + i, _mm256_unpackhi_pd(even, odd));
    }
#endif
    for (; i < n; ++i) {
        a[i] = x[i * k];
        b[i] = x[i * k + 1];
    }
}

/* And back, every row times its factor. */
FLL_INLINE void pair_to_rows(const double *a, const double *b, const double *factor,
                             ptrdiff_t k, ptrdiff_t n, double *x)
{
    ptrdiff_t i = 0;
#ifdef __AVX2__
    for (; i + 4 <= n; i += 4) {
        double *row = x + i * k;
        const __m256d f = _mm256_loadu_pd(factor + i);
        const __m256d fa = _mm256_mul_pd(_mm256_loadu_pd(a + i), f);
        const __m256d fb = _mm256_mul_pd(_mm256_loadu_pd(b + i), f);
        const __m256d even = _mm256_unpacklo_pd(fa, fb);
        const __m256d odd = _mm256_unpackhi_pd(fa, fb);
        _mm_storeu_pd(row, _mm256_castpd256_pd128(even));
        _mm_storeu_pd(row + k, _mm256_castpd256_pd128(odd));
        _mm_storeu_pd(row + 2 * k, _mm256_extractf128_pd(even, 1));
        _mm_storeu_pd(row + 3 * k, _mm256_extractf128_pd(odd, 1));
    }
#endif
    for (; i < n; ++i) {
        x[i * k] = a[i] * factor[i];
        x[i * k + 1] = b[i] * factor[i];
    }
}

/* And back as they are. */
FLL_INLINE void columns_to_pairs(const double *a, const double *b, ptrdiff_t k,
                                 ptrdiff_t n, double *x)
{
    ptrdiff_t i = 0;
#ifdef __AVX2__
    for (; i + 4 <= n; i += 4) {
        double *row = x + i * k;
        const __m256d u = _mm256_loadu_pd(a + i), v = _mm256_loadu_pd(b + i);
        const __m256d even = _mm256_unpacklo_pd(u, v);
        const __m256d odd = _mm256_unpackhi_pd(u, v);
        _mm_storeu_pd(row, _mm256_castpd256_pd128(even));
        _mm_storeu_pd(row + k, _mm256_castpd256_pd128(odd));
        _mm_storeu_pd(row + 2 * k, _mm256_extractf128_pd(even, 1));
        _mm_storeu_pd(row + 3 * k, _mm256_extractf128_pd(odd, 1));
    }
#endif
    for (; i < n; ++i) {
        x[i * k] = a[i];
        x[i * k + 1] = b[i];
    }
}

/* Item i of an array of floats or of doubles; `is_float` is a constant. */
FLL_INLINE const void *item(const void *x, const int is_float, ptrdiff_t i)
{
    return (const char *)x + i * (is_float ? 4 : 8);
}

FLL_INLINE double value(const void *x, const int is_float, ptrdiff_t i)
{
    return is_float ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

#ifdef __AVX2__
FLL_INLINE __m256d two_rows_of(const void *x, const void *y, const int is_float)
{
    if (!is_float)
        return two_rows(x, y);
    return _mm256_cvtps_pd(_mm_castsi128_ps(_mm_unpacklo_epi64(
        _mm_loadl_epi64((const __m128i *)x), _mm_loadl_epi64((const __m128i *)y))));
}

FLL_INLINE __m256d four_of(const void *x, const int is_float)
{
    return is_float ? _mm256_cvtps_pd(_mm_loadu_ps(x)) : _mm256_loadu_pd(x);
}
#endif

/* The sum of each of four rows of k numbers, from left to right. Returns bits 62 or 63
   set as outside_unit() does, for any of the numbers. */
FLL_INLINE uint64_t sum_four_rows(const void *x, const int is_float, ptrdiff_t k,
                                  double *total)
{
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    uint64_t off = 0;
    ptrdiff_t i, j = 0;
#ifdef __AVX2__
    __m256i bits = _mm256_setzero_si256();
    __m256d sums = _mm256_setzero_pd();
    for (; j + 2 <= k; j += 2) {
        const __m256d even =
            two_rows_of(item(x, is_float, j), item(x, is_float, 2 * k + j), is_float);
        const __m256d odd =
            two_rows_of(item(x, is_float, k + j), item(x, is_float, 3 * k + j),
                        is_float);
        bits = _mm256_or_si256(bits, _mm256_or_si256(outside_units(even),
                                                     outside_units(odd)));
        sums = _mm256_add_pd(sums, _mm256_unpacklo_pd(even, odd));
        sums = _mm256_add_pd(sums, _mm256_unpackhi_pd(even, odd));
    }
    _mm256_storeu_pd(sum, sums);
    off = any_bits(bits);
#endif
    for (; j < k; ++j)
        for (i = 0; i < 4; ++i) {
            off |= outside_unit(value(x, is_float, i * k + j));
            sum[i] += value(x, is_float, i * k + j);
        }
    memcpy(total, sum, sizeof sum);
    return off;
}

/* The sum of one row of k numbers in 16 lanes, for an addition takes as long as four
   loads; returns as above. */
FLL_INLINE uint64_t sum_wide_row(const void *x, const int is_float, ptrdiff_t k,
                                 double *total)
{
    double lane[16] = {0.0}, tail = 0.0;
    uint64_t off = 0;
    ptrdiff_t i, j = 0;
#ifdef __AVX2__
    __m256i bits = _mm256_setzero_si256();
    __m256d a = _mm256_setzero_pd(), b = a, c = a, d = a;
    for (; j + 16 <= k; j += 16) {
        const __m256d p = four_of(item(x, is_float, j), is_float);
        const __m256d q = four_of(item(x, is_float, j + 4), is_float);
        const __m256d r = four_of(item(x, is_float, j + 8), is_float);
        const __m256d s = four_of(item(x, is_float, j + 12), is_float);
        const __m256i pq = _mm256_or_si256(outside_units(p), outside_units(q));
        const __m256i rs = _mm256_or_si256(outside_units(r), outside_units(s));
        bits = _mm256_or_si256(bits, _mm256_or_si256(pq, rs));
        a = _mm256_add_pd(a, p);
        b = _mm256_add_pd(b, q);
        c = _mm256_add_pd(c, r);
        d = _mm256_add_pd(d, s);
    }
    _mm256_storeu_pd(lane, a);
    _mm256_storeu_pd(lane + 4, b);
    _mm256_storeu_pd(lane + 8, c);
    _mm256_storeu_pd(lane + 12, d);
    off = any_bits(bits);
#endif
    for (; j + 16 <= k; j += 16)
        for (i = 0; i < 16; ++i) {
            off |= outside_unit(value(x, is_float, j + i));
            lane[i] += value(x, is_float, j + i);
        }
    for (; j < k; ++j) {
        off |= outside_unit(value(x, is_float, j));
        tail += value(x, is_float, j);
    }
    for (i = 8; i > 0; i /= 2)
        for (j = 0; j < i; ++j)
            lane[j] += lane[i + j];
    *total = lane[0] + tail;
    return off;
}

/* Adds a column of n numbers to the sums of its rows, and after it another, or NULL;
   returns as above. */
FLL_256BIT static uint64_t add_columns(const double *x, const double *y, ptrdiff_t n,
                                       double *sum)
{
    ptrdiff_t i;
    uint64_t off = 0;
    if (y)
        for (i = 0; i < n; ++i) {
            off |= outside_unit(x[i]) | outside_unit(y[i]);
            sum[i] = (sum[i] + x[i]) + y[i];
        }
    else
        for (i = 0; i < n; ++i) {
            off |= outside_unit(x[i]);
            sum[i] += x[i];
        }
    return off;
}

/* q[r * width + i] = |a[i] - x[r * stride + i]| for k rows of n numbers, k a constant.
   found[r] collects outside() of row r. */
FLL_INLINE void subtract_k_rows(const double *a, const double *x, ptrdiff_t stride,
                                const ptrdiff_t k, ptrdiff_t n, uint64_t low,
                                uint64_t high, double *q, ptrdiff_t width,
                                uint64_t *found)
{
    ptrdiff_t first = 0, i, r;
#ifdef __AVX2__
    /* A cache line of each row in turn: memory has k arrays to send, and the line of a
       is read once. Fetched less far ahead than FLL_AHEAD: 4 KiB would take 1.2
       times the time where a cache holds the rows, 2 KiB 1.1 times where none does. */
    const __m256i lows = _mm256_set1_epi64x((long long)low);
    const __m256i highs = _mm256_set1_epi64x((long long)high);
    const __m256d sign = _mm256_set1_pd(-0.0);
    __m256i bits[4];
    for (r = 0; r < k; ++r)
        bits[r] = _mm256_setzero_si256();
    for (; first + 8 <= n; first += 8) {
        const __m256d a0 = _mm256_loadu_pd(a + first);
        const __m256d a1 = _mm256_loadu_pd(a + first + 4);
        for (r = 0; r < k; ++r) {
            const double *line = x + r * stride + first;
            double *to = q + r * width + first;
            const __m256d x0 = _mm256_loadu_pd(line), x1 = _mm256_loadu_pd(line + 4);
            FLL_PREFETCH((const char *)line + 3072);
            _mm256_storeu_pd(to, _mm256_andnot_pd(sign, _mm256_sub_pd(a0, x0)));
            _mm256_storeu_pd(to + 4, _mm256_andnot_pd(sign, _mm256_sub_pd(a1, x1)));
            bits[r] = _mm256_or_si256(bits[r], outsides(x0, lows, highs));
            bits[r] = _mm256_or_si256(bits[r], outsides(x1, lows, highs));
        }
    }
    for (r = 0; r < k; ++r)
        found[r] = any_bits(bits[r]);
#else
    for (r = 0; r < k; ++r)
        found[r] = 0;
#endif
    for (r = 0; r < k; ++r) {
        const double *row = x + r * stride;
        uint64_t rest = 0;
        fetch_ahead((const char *)row, first, n - first, sizeof(double));
        for (i = first; i < n; ++i) {
            rest |= outside(row[i], low, high);
            q[r * width + i] = absolute(a[i] - row[i]);
        }
        found[r] |= rest;
    }
}

/* The same for up to four rows. */
FLL_INLINE void subtract_rows(const double *a, const double *x, ptrdiff_t stride,
                              ptrdiff_t k, ptrdiff_t n, uint64_t low, uint64_t high,
                              double *q, ptrdiff_t width, uint64_t *found)
{
    FLL_CHECK(1 <= k && k <= 4);
    if (k == 4)
        subtract_k_rows(a, x, stride, 4, n, low, high, q, width, found);
    else if (k == 3)
        subtract_k_rows(a, x, stride, 3, n, low, high, q, width, found);
    else if (k == 2)
        subtract_k_rows(a, x, stride, 2, n, low, high, q, width, found);
    else
        subtract_k_rows(a, x, stride, 1, n, low, high, q, width, found);
}

/* Copy n numbers past the caches. An array that is larger than these would otherwise be
   read before it is written. Visible to other threads after stream_end(). */
FLL_INLINE void stream(const double *x, ptrdiff_t n, double *out)
{
    ptrdiff_t i = 0;
#ifdef __SSE2__
    if (n > 0 && (uintptr_t)out & 15) {
        out[0] = x[0];
        i = 1;
    }
    for (; i + 2 <= n; i += 2)
        _mm_stream_pd(out + i, _mm_loadu_pd(x + i));
#endif
    for (; i < n; ++i)
        out[i] = x[i];
}

FLL_INLINE void stream_end(void)
{
#ifdef __SSE2__
    _mm_sfence();
#endif
}

#endif
