/* SPDX-License-Identifier: BSD-3-Clause */
/* convert: every half-width number, rounding to nearest even, NaN, all pairs of types, strides. */
#include <math.h>
#include <string.h>

#include "core/tensors.h"
#include "op_harness.h"

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
static sgt_tensor make_vector(sgtt_machine *m, int32_t dtype, int64_t n, const void *data)
{
    sgt_tensor t = sgtt_make(m, dtype, SGTT_DENSE, 1, &n)->t;
    sgtt_run_op(m, sgti_write(m->dispatch, &t, data));
    return t;
}

/* ck_assert_msg makes system calls even when it holds: too slow for each of 65536. */
#define check_that(holds, ...)                                                                     \
    do {                                                                                           \
        if (!(holds))                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

static uint16_t halves[65536];
static float singles[65536];
static double doubles[65536];

START_TEST(every_half_to_float_and_back)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    const format *formats[] = {&bf16, &f16};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 65536; i++)
            halves[i] = (uint16_t)i;
        sgt_tensor half = make_vector(&m, formats[k]->dtype, 65536, halves);
        sgt_tensor single = make_vector(&m, SGT_F32, 65536, singles);
        sgt_tensor full = make_vector(&m, SGT_F64, 65536, doubles);
        sgtt_run_op(&m, sgti_convert(m.dispatch, &single, &half));
        sgtt_run_op(&m, sgti_convert(m.dispatch, &full, &half));
        sgtt_run_op(&m, sgti_read(m.dispatch, singles, &single));
        sgtt_run_op(&m, sgti_read(m.dispatch, doubles, &full));
        for (int i = 0; i < 65536; i++) {
            double expected = decode((uint16_t)i, formats[k]);
            check_that(same((double)singles[i], expected) && same(doubles[i], expected),
                          "%s: bits %04x give %g and %g, not %g", m.label, i, (double)singles[i],
                          doubles[i], expected);
        }
        for (int pass = 0; pass < 2; pass++) {
            memset(halves, 0x5a, sizeof halves);
            sgtt_run_op(&m, sgti_write(m.dispatch, &half, halves));
            sgtt_run_op(&m, sgti_convert(m.dispatch, &half, pass ? &full : &single));
            sgtt_run_op(&m, sgti_read(m.dispatch, halves, &half));
            for (int i = 0; i < 65536; i++)
                check_that(same(decode(halves[i], formats[k]), decode((uint16_t)i, formats[k])),
                              "%s: bits %04x come back as %04x", m.label, i, halves[i]);
        }
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

/* Between every two neighbours: the middle, and the floats next to the middle. */
START_TEST(rounds_to_nearest_even)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
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
            sgt_tensor half = make_vector(&m, f->dtype, 65536, halves);
            sgt_tensor single = make_vector(&m, SGT_F32, 65536, singles);
            sgtt_run_op(&m, sgti_convert(m.dispatch, &half, &single));
            sgtt_run_op(&m, sgti_read(m.dispatch, halves, &half));
            for (int i = 0; i < 65536; i++) {
                double expected = nearest((double)singles[i], f);
                check_that(same(decode(halves[i], f), expected), "%s: %a gives %04x, not %a",
                              m.label, (double)singles[i], halves[i], expected);
            }
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

/* A double just past the middle of two halves is the middle itself as a float32: rounding twice
 * would go the wrong way. */
START_TEST(doubles_round_once)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
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
        sgt_tensor half = make_vector(&m, f->dtype, 65536, halves);
        sgt_tensor full = make_vector(&m, SGT_F64, 65536, doubles);
        sgt_tensor single = make_vector(&m, SGT_F32, 65536, singles);
        sgtt_run_op(&m, sgti_convert(m.dispatch, &half, &full));
        sgtt_run_op(&m, sgti_convert(m.dispatch, &single, &full));
        sgtt_run_op(&m, sgti_read(m.dispatch, halves, &half));
        sgtt_run_op(&m, sgti_read(m.dispatch, singles, &single));
        for (int i = 0; i < 65536; i++) {
            double expected = nearest(doubles[i], f);
            check_that(same(decode(halves[i], f), expected), "%s: %a gives %04x, not %a",
                          m.label, doubles[i], halves[i], expected);
            check_that(same((double)singles[i], (double)(float)doubles[i]),
                          "%s: %a gives the float %a", m.label, doubles[i], (double)singles[i]);
        }
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

/* Strided elements take another way through the code: it must agree with the dense one. */
START_TEST(strided_agrees_with_dense)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    static const int32_t dtypes[] = {SGT_F32, SGT_F64, SGT_BF16, SGT_F16};
    const int64_t rows = 37, columns = 45;
    for (int k = 0; k < 16; k++) {
        int32_t from = dtypes[k % 4], to = dtypes[k / 4];
        const int64_t n = rows * columns;
        sgt_tensor source = sgtt_random_vector(&m, n)->t;
        sgt_tensor x = sgtt_make(&m, from, SGTT_DENSE, 1, &n)->t;
        sgt_tensor y = sgtt_make(&m, to, SGTT_DENSE, 1, &n)->t;
        sgt_tensor transposed = sgtt_make(&m, to, SGTT_DENSE, 1, &n)->t;
        sgtt_run_op(&m, sgti_convert(m.dispatch, &x, &source));
        sgtt_run_op(&m, sgti_convert(m.dispatch, &y, &x));

        sgt_tensor across = x;
        sgt_tensor target = transposed;
        across.rank = target.rank = 2;
        across.shape[0] = target.shape[0] = rows;
        across.shape[1] = target.shape[1] = columns;
        across.strides[0] = 1;
        across.strides[1] = rows;
        target.strides[0] = columns;
        target.strides[1] = 1;
        sgtt_run_op(&m, sgti_convert(m.dispatch, &target, &across));

        const size_t size = sgti_dtype_bytes(to);
        const char *dense = (const char *)doubles;
        const char *turned = (const char *)halves;
        sgtt_run_op(&m, sgti_read(m.dispatch, doubles, &y));
        sgtt_run_op(&m, sgti_read(m.dispatch, halves, &target));
        for (int64_t i = 0; i < n; i++) {
            int64_t same_element = i % rows * columns + i / rows;
            check_that(memcmp(dense + (size_t)i * size, turned + (size_t)same_element * size,
                                 size) == 0,
                          "%s: type %d to %d depends on the strides", m.label, from, to);
        }
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

int main(void)
{
    int devices = sgtt_devices();
    Suite *suite = suite_create("number formats");
    TCase *tests = tcase_create("convert");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, every_half_to_float_and_back, 0, devices);
    tcase_add_loop_test(tests, rounds_to_nearest_even, 0, devices);
    tcase_add_loop_test(tests, doubles_round_once, 0, devices);
    tcase_add_loop_test(tests, strided_agrees_with_dense, 0, devices);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
