/* SPDX-License-Identifier: BSD-3-Clause */
/* convert: every half-width number, rounding to nearest even, NaN, all pairs of types, strides. */
#include "suite.h"

#include <math.h>
#include <string.h>

typedef struct format {
    int32_t dtype;
    int mantissa; /* bits after the point */
    int lowest;   /* exponent of the smallest normal number */
    double largest;
} format;

static const format bf16 = {SGT_BF16, 7, -126, 0x1.fep127};
static const format f16 = {SGT_F16, 10, -14, 65504.0};

/* The nearest number of the format, ties to even, by arithmetic in double. */
static double nearest(double value, const format *f)
{
    int exponent;
    if (!isfinite(value) || value == 0.0)
        return value;
    frexp(value, &exponent);
    exponent = exponent - 1 < f->lowest ? f->lowest : exponent - 1;
    double unit = ldexp(1.0, exponent - f->mantissa);
    double rounded = nearbyint(value / unit) * unit;
    return fabs(rounded) > f->largest ? copysign(INFINITY, value) : rounded;
}

/* What the bits say, decoded independently of the library. */
static double decode(uint16_t bits, const format *f)
{
    int exponent_bits = 15 - f->mantissa;
    int exponent = bits >> f->mantissa & ((1 << exponent_bits) - 1);
    int mantissa = bits & ((1 << f->mantissa) - 1);
    double sign = bits & 0x8000 ? -1.0 : 1.0;
    if (exponent == (1 << exponent_bits) - 1)
        return mantissa != 0 ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(mantissa, f->lowest - f->mantissa);
    return sign * ldexp(mantissa + (1 << f->mantissa), f->lowest - f->mantissa + exponent - 1);
}

static int same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

/* Dense vector with given bytes. */
static sgtt_tensor *make_vector(sgtt_machine *m, int32_t dtype, int64_t n, const void *data)
{
    sgtt_tensor *made = sgtt_make(m, dtype, SGTT_DENSE, 1, &n);
    sgtt_write(m, made, data);
    return made;
}

static uint16_t halves[65536];
static float singles[65536];
static double doubles[65536];

static void every_half_to_float_and_back(sgtt_machine *m)
{
    const format *formats[] = {&bf16, &f16};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 65536; i++)
            halves[i] = (uint16_t)i;
        sgtt_tensor *half = make_vector(m, formats[k]->dtype, 65536, halves);
        sgtt_tensor *single = make_vector(m, SGT_F32, 65536, singles);
        sgtt_tensor *full = make_vector(m, SGT_F64, 65536, doubles);
        sgtt_convert(m, &single->t, &half->t);
        sgtt_convert(m, &full->t, &half->t);
        sgtt_read(m, singles, single);
        sgtt_read(m, doubles, full);
        for (int i = 0; i < 65536; i++) {
            double expected = decode((uint16_t)i, formats[k]);
            sgtt_require(same((double)singles[i], expected) && same(doubles[i], expected),
                          "bits %04x give %g and %g, not %g", i, (double)singles[i],
                          doubles[i], expected);
        }
        for (int pass = 0; pass < 2; pass++) {
            memset(halves, 0x5a, sizeof halves);
            sgtt_write(m, half, halves);
            sgtt_convert(m, &half->t, pass ? &full->t : &single->t);
            sgtt_read(m, halves, half);
            for (int i = 0; i < 65536; i++)
                sgtt_require(same(decode(halves[i], formats[k]), decode((uint16_t)i, formats[k])),
                              "bits %04x come back as %04x", i, halves[i]);
        }
        sgtt_count(0.0);
        sgtt_clear(m);
    }
}

/* Between every two neighbours: the middle, and the floats next to the middle. */
static void rounds_to_nearest_even(sgtt_machine *m)
{
    const format *formats[] = {&bf16, &f16};
    for (int k = 0; k < 2; k++) {
        const format *f = formats[k];
        for (int variant = 0; variant < 3; variant++) {
            for (int i = 0; i < 65536; i++) {
                double low = decode((uint16_t)i, f);
                double high = decode((uint16_t)(i + 1), f);
                float middle = (float)((low + high) / 2.0);
                singles[i] = variant == 0   ? middle
                             : variant == 1 ? nextafterf(middle, INFINITY)
                                            : nextafterf(middle, -INFINITY);
            }
            sgtt_tensor *half = make_vector(m, f->dtype, 65536, halves);
            sgtt_tensor *single = make_vector(m, SGT_F32, 65536, singles);
            sgtt_convert(m, &half->t, &single->t);
            sgtt_read(m, halves, half);
            for (int i = 0; i < 65536; i++) {
                double expected = nearest((double)singles[i], f);
                sgtt_require(same(decode(halves[i], f), expected), "%a gives %04x, not %a",
                              (double)singles[i], halves[i], expected);
            }
            sgtt_count(0.0);
            sgtt_clear(m);
        }
    }
}

/* A double just past the middle of two halves is the middle itself as a float32: rounding twice
 * would go the wrong way. */
static void doubles_round_once(sgtt_machine *m)
{
    const format *formats[] = {&bf16, &f16};
    for (int k = 0; k < 2; k++) {
        const format *f = formats[k];
        for (int i = 0; i < 65536; i++) {
            double middle =
                (decode((uint16_t)i, f) + decode((uint16_t)(i + 1), f)) / 2.0;
            doubles[i] = nextafter(middle, i % 3 == 0 ? INFINITY : -INFINITY);
        }
        doubles[0] = 1e300;
        doubles[1] = -1e300;
        doubles[2] = 1e-300;
        doubles[3] = -1e-300;
        sgtt_tensor *half = make_vector(m, f->dtype, 65536, halves);
        sgtt_tensor *full = make_vector(m, SGT_F64, 65536, doubles);
        sgtt_tensor *single = make_vector(m, SGT_F32, 65536, singles);
        sgtt_convert(m, &half->t, &full->t);
        sgtt_convert(m, &single->t, &full->t);
        sgtt_read(m, halves, half);
        sgtt_read(m, singles, single);
        for (int i = 0; i < 65536; i++) {
            double expected = nearest(doubles[i], f);
            sgtt_require(same(decode(halves[i], f), expected), "%a gives %04x, not %a",
                          doubles[i], halves[i], expected);
            sgtt_require(same((double)singles[i], (double)(float)doubles[i]),
                          "%a gives the float %a", doubles[i], (double)singles[i]);
        }
        sgtt_count(0.0);
        sgtt_clear(m);
    }
}

/* Strided elements take another way through the code: it must agree with the dense one. */
static void strided_agrees_with_dense(sgtt_machine *m)
{
    static const int32_t dtypes[] = {SGT_F32, SGT_F64, SGT_BF16, SGT_F16};
    const int64_t rows = 37, columns = 45;
    for (int k = 0; k < 16; k++) {
        int32_t from = dtypes[k % 4], to = dtypes[k / 4];
        const int64_t n = rows * columns;
        sgtt_tensor *source = sgtt_random_vector(m, n);
        sgtt_tensor *x = sgtt_make(m, from, SGTT_DENSE, 1, &n);
        sgtt_tensor *y = sgtt_make(m, to, SGTT_DENSE, 1, &n);
        sgtt_tensor *transposed = sgtt_make(m, to, SGTT_DENSE, 1, &n);
        sgtt_convert(m, &x->t, &source->t);
        sgtt_convert(m, &y->t, &x->t);

        sgt_tensor across = x->t;
        sgt_tensor target = transposed->t;
        across.rank = target.rank = 2;
        across.shape[0] = target.shape[0] = rows;
        across.shape[1] = target.shape[1] = columns;
        across.strides[0] = 1;
        across.strides[1] = rows;
        target.strides[0] = columns;
        target.strides[1] = 1;
        sgtt_convert(m, &target, &across);

        const size_t size = sgtt_dtype_bytes(to);
        const char *dense = (const char *)doubles;
        const char *turned = (const char *)halves;
        sgtt_read(m, doubles, y);
        sgtt_read(m, halves, transposed);
        for (int64_t i = 0; i < n; i++) {
            int64_t same_element = i % rows * columns + i / rows;
            sgtt_require(memcmp(dense + (size_t)i * size, turned + (size_t)same_element * size,
                                 size) == 0,
                          "type %d to %d depends on the strides", from, to);
        }
        sgtt_count(0.0);
        sgtt_clear(m);
    }
}

const sgtt_op_test sgtt_convert_tests[] = {every_half_to_float_and_back, rounds_to_nearest_even,
                                           doubles_round_once, strided_agrees_with_dense, NULL};
