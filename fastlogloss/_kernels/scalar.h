/* Scalar maths: the innermost ring. Bit casts, an error-free product, a logarithm.

   Design
   A. Everything is branch-free and inlined, so that the loops around it are
      vectorised by the compiler. Calling libm was rejected: its log is not inlined
      (4 ns a row), and its last bit differs between machines, which would break
      "the same bits everywhere".
   B. No fused multiply-add except in product_error(), where the fused and the split
      form are both exact, so that they agree to the last bit. Contracting the other
      expressions would save a tenth of the weighted loop and lose that equality.
   C. log_normal() and exp_nonpositive() are also there in three steps, each for a loop
      of its own over a tile: in one loop a vector waits 80 cycles from its first
      operation to its last, and 64 scheduler entries hold little more than one vector
      (measured: two thirds of the time). Estrin's scheme for the same reason.
   D. log_normal(): relative error below 1.0 ULP on [2^-1022, inf) for every q
      (tests/test_accuracy.py measures it, worst near q = 0.7): the polynomial itself
      is good to 0.04 ULP, the rest is rounding.
*/
#ifndef FASTLOGLOSS_SCALAR_H
#define FASTLOGLOSS_SCALAR_H

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define FLL_INLINE static inline __attribute__((always_inline, unused))
#define FLL_PREFETCH(address) __builtin_prefetch(address, 0, 3)
#elif defined(_MSC_VER)
#define FLL_INLINE static __forceinline
#define FLL_PREFETCH(address) ((void)(address))
#else
#define FLL_INLINE static inline
#define FLL_PREFETCH(address) ((void)(address))
#endif

/* setup.py defines it for FASTLOGLOSS_DEBUG=1 builds. */
#ifdef FASTLOGLOSS_DEBUG
#define FLL_CHECK(condition) assert(condition)
#else
#define FLL_CHECK(condition) ((void)0)
#endif

static const double FLL_LN2 = 0x1.62e42fefa39efp-1;       /* ln 2 = LN2 + LN2_TAIL */
static const double FLL_LN2_TAIL = 0x1.abc9e3b39803fp-56; /* (to 107 bits)         */

FLL_INLINE uint64_t to_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

FLL_INLINE double from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

FLL_INLINE double absolute(double x)
{
    return from_bits(to_bits(x) & 0x7FFFFFFFFFFFFFFFull);
}

FLL_INLINE double larger(double x, double y) { return x > y ? x : y; }

FLL_INLINE void prefetch(const void *address) { FLL_PREFETCH(address); }

#define FLL_AHEAD 2048 /* bytes */

/* Fetch what lies FLL_AHEAD beyond items [first, first + n) of an array, or of NULL
   nothing. In C, for it has to be inlined: gcc drops calls of a function that does
   nothing but prefetch. Past the end of the array it is harmless. */
FLL_INLINE void fetch_ahead(const char *array, ptrdiff_t first, ptrdiff_t n, int size)
{
    const char *address = array + first * size + FLL_AHEAD;
    ptrdiff_t i;
    if (array)
        for (i = 0; i < n * size; i += 64)
            FLL_PREFETCH(address + i);
}

FLL_INLINE void check(int condition)
{
    (void)condition;
    FLL_CHECK(condition);
}

/* The sign bit of the result is set unless low <= x <= high, for 0 <= low <= high
   given as bits. Sets it also for NaN and for -0.0, which the caller looks at a
   second time. Two subtractions and an OR: AVX2 has no 64-bit integer maximum. */
FLL_INLINE uint64_t outside(double x, uint64_t low, uint64_t high)
{
    return (to_bits(x) - low) | (high - to_bits(x));
}

/* Bit 62 or 63 of the result is set unless 0 <= x <= 1; for -0.0 too. A NaN whose sign
   is set goes through: a sum that it is part of must be looked at as well. */
FLL_INLINE uint64_t outside_unit(double x) { return to_bits(x) + 0xFFFFFFFFFFFFFull; }

/* mask all ones: when_set; all zeros: otherwise. */
FLL_INLINE double choose(uint64_t mask, double when_set, double otherwise)
{
    const uint64_t o = to_bits(otherwise);
    return from_bits(o ^ ((o ^ to_bits(when_set)) & mask));
}

/* a * b - product, exactly, for product = a * b rounded.
   Dekker (1971), Veltkamp splitting, where there is no fused multiply-add. */
FLL_INLINE double product_error(double a, double b, double product)
{
#ifdef __FMA__
    return __builtin_fma(a, b, -product);
#else
    const double split = 134217729.0; /* 2^27 + 1 */
    const double at = a * split, ah = at - (at - a), al = a - ah;
    const double bt = b * split, bh = bt - (bt - b), bl = b - bh;
    return ((ah * bh - product) + ah * bl + al * bh) + al * bl;
#endif
}

/* a + b - sum, exactly, for sum = a + b rounded (Knuth, TAOCP 2, 4.2.2). */
FLL_INLINE double sum_error(double a, double b, double sum)
{
    const double bb = sum - a;
    return (a - (sum - bb)) + (b - bb);
}

/* The exponent e of x = m * 2^e with m in [sqrt(1/2), sqrt(2)), shifted to the
   exponent field. Not m in [1, 2): a product just under 1 must keep e = 0, or the
   final e * ln 2 + ln m would cancel. x is a positive normal number. */
FLL_INLINE uint64_t exponent_field(double x)
{
    return (to_bits(x) - 0x3FE6A09E00000000ull) & 0xFFF0000000000000ull;
}

/* An exponent field as a signed number (AVX2 has no arithmetic 64-bit shift). */
FLL_INLINE int64_t exponent_of_field(uint64_t field)
{
    return (int64_t)(field >> 52) - (int64_t)((field >> 63) << 12);
}

FLL_INLINE double drop_exponent(double x, uint64_t field)
{
    return from_bits(to_bits(x) - field);
}

/* 2^-e for an exponent field. */
FLL_INLINE double inverse_power(uint64_t field)
{
    return from_bits(0x3FF0000000000000ull - field);
}

/* log(x) for a positive normal x. With x = m * 2^e, f = m - 1, s = f / (m + 1):
   log m = 2 atanh(s) = f - s * (f - z * P(z)), z = s^2, where P is the minimax
   polynomial of (2 atanh(s) - 2 s) / s^3 on |s| <= 3 - sqrt(8). */
FLL_INLINE double start_log(double x, double *e, double *f)
{
    const uint64_t field = exponent_field(x);
    const double m = drop_exponent(x, field);
    /* e as a double by way of 2^52 + 2048 + e: AVX2 cannot convert 64-bit integers. */
    *e = from_bits(field >> 52 ^ 0x4330000000000800ull) - 4503599627372544.0;
    *f = m - 1.0;
    return *f / (m + 1.0);
}

FLL_INLINE double log_rest(double s, double f)
{
    const double z = s * s, z2 = z * z;
    const double a = 0x1.5555555555558p-1 + z * 0x1.99999999952d7p-2;
    const double b = 0x1.2492492df281ap-2 + z * 0x1.c71c62e3f11e6p-3;
    const double c = 0x1.7462b51cb66b1p-3 + z * 0x1.39fe51a7c18f9p-3;
    const double p = a + z2 * (b + z2 * (c + z2 * 0x1.2b5900de53b32p-3));
    return s * (f - z * p);
}

FLL_INLINE double finish_log(double e, double f, double rest)
{
    /* e times the first 21 bits of ln 2 is exact. */
    return e * 0x1.62e42p-1 + (f - (rest - e * 0x1.fdf473de6af28p-22));
}

FLL_INLINE double log_normal(double x)
{
    double e, f, s = start_log(x, &e, &f);
    return finish_log(e, f, log_rest(s, f));
}

/* log(1 + x) for x >= 0. */
FLL_INLINE double log_excess(double x)
{
    const double h = 1.0 + x;
    return log_normal(h) + sum_error(1.0, x, h) / h;
}

/* log(x) for any x >= 0: log 0 = -inf, subnormal numbers in full precision. */
FLL_INLINE double log_any(double x)
{
    if (x == 0.0)
        return -INFINITY;
    if (x < 0x1p-1022)
        return log_normal(x * 0x1p54) - 54.0 * FLL_LN2;
    return log_normal(x);
}

/* exp(x): x = k ln 2 + r with |r| <= ln(2) / 2, and exp(x) = exp(r) * 2^k.

   The sum of x log2(e) and FLL_SHIFT + n, n an integer, is rounded to an integer, and
   its low bits are those of k + n. With n = FLL_BIAS they are, 52 bits further up, the
   exponent field of 2^(k + 128): the last product may then be subnormal. */
static const double FLL_SHIFT = 6755399441055744.0; /* 1.5 * 2^52 */
static const double FLL_BIAS = 1151.0;              /* 1023 + 128 */
static const double FLL_FLOOR = -797.0; /* here the field is 0, 1 or 2, and exp(x) 0 */

FLL_INLINE double shifted_exponent(double x, double shift)
{
    return x * 0x1.71547652b82fep+0 + shift;
}

/* r. k times the first 21 bits of ln 2 is exact. */
FLL_INLINE double exponent_rest(double x, double k)
{
    return (x - k * 0x1.62e42p-1) - k * 0x1.fdf473de6af28p-22;
}

/* exp(r) = 1 + r + r c / (2 - c) with c = r - r^2 P(r^2), P the minimax polynomial of
   (r (e^r + 1) / (e^r - 1) - 2) / r^2. Relative error below 0.85 ULP. A polynomial
   alone takes eight more operations; the division runs beside them. */
FLL_INLINE double exp_rest(double r)
{
    const double z = r * r, z2 = z * z;
    const double a = 0x1.5555555555553p-3 + z * -0x1.6c16c16c0ab48p-9;
    const double b = 0x1.1566ab5bcf6ecp-14 + z * -0x1.bbd5311684979p-20;
    const double c = r - z * (a + z2 * (b + z2 * 0x1.63f1d4c93e813p-25));
    return 1.0 + (r + r * c / (2.0 - c));
}

/* x times the power of 2 whose exponent field a shifted exponent holds. */
FLL_INLINE double times_power(double x, double shifted)
{
    return x * from_bits(to_bits(shifted) << 52);
}

/* exp(x) for x <= 0; 0 below -746. Relative error below 1.0 ULP where the result is
   normal; NaN stays NaN. In two halves, for loops of their own around exp_rest(). */
FLL_INLINE double start_exp(double x, double *shifted)
{
    const double y = larger(FLL_FLOOR, x), shift = FLL_SHIFT + FLL_BIAS;
    *shifted = shifted_exponent(y, shift);
    return exponent_rest(y, *shifted - shift);
}

FLL_INLINE double finish_exp(double x, double shifted)
{
    return times_power(x, shifted) * 0x1p-128;
}

FLL_INLINE double exp_nonpositive(double x)
{
    double shifted, r = start_exp(x, &shifted);
    return finish_exp(exp_rest(r), shifted);
}

/* log((h + l) * 2^e), h in [sqrt(1/2), sqrt(2)), |l| <= ulp(h). */
FLL_INLINE double log_product(double h, double l, double e)
{
    const double scale = e * FLL_LN2;
    const double tail = product_error(e, FLL_LN2, scale) + e * FLL_LN2_TAIL;
    const double m = log_normal(h);
    const double sum = scale + m;
    return sum + (sum_error(scale, m, sum) + (tail + l / h));
}

#endif
