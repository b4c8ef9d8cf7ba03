/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole life whose calls are made in one of the floating-point modes that hosts set: rounding,
 * flushing small numbers to zero, exceptions that trap. It tells the numbers of a life in the
 * default mode for any number of threads, and each call gives the mode back as it was.
 */
#include <fenv.h>
#include <stdlib.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "whole_life.h"

enum { FLUSH = 0x8040 }; /* results and operands */

static void set_upward(void)
{
    fesetround(FE_UPWARD);
}

static void set_downward(void)
{
    fesetround(FE_DOWNWARD);
}

static void set_toward_zero(void)
{
    fesetround(FE_TOWARDZERO);
}

#if defined(__SSE__)
static void set_flush(void)
{
    _mm_setcsr(_mm_getcsr() | FLUSH);
}
#endif

#if defined(__GLIBC__)
static void set_traps(void)
{
    feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(FE_ALL_EXCEPT);
}
#endif

static const struct {
    const char *name;
    void (*set)(void);
} modes[] = {
    {"upward", set_upward},
    {"downward", set_downward},
    {"toward zero", set_toward_zero},
#if defined(__SSE__)
    {"flush to zero", set_flush},
#endif
#if defined(__GLIBC__)
    {"traps", set_traps},
#endif
};

#define MODES (int)(sizeof modes / sizeof *modes)

static void (*set_mode)(void);
static fenv_t usual;
static int not_given_back;

/* What of the environment is a mode: all but the exceptions that have occurred. */
typedef struct mode {
    int rounding;
    unsigned vector;
    int traps;
} mode;

static mode look_at_mode(void)
{
    mode m = {.rounding = fegetround()};
#if defined(__SSE__)
    m.vector = _mm_getcsr();
#endif
#if defined(__GLIBC__)
    m.traps = fegetexcept();
#endif
    return m;
}

static mode set;

static void enter_mode(void)
{
    fegetenv(&usual);
    set_mode();
    set = look_at_mode();
}

static void leave_mode(void)
{
    mode now = look_at_mode();
    fesetenv(&usual);
    not_given_back += now.rounding != set.rounding || now.vector != set.vector ||
                      now.traps != set.traps;
}

/* A host whose callback sets a mode and leaves it behind. */
static int32_t change_mode(void *user, const sgt_progress *progress)
{
    (void)user, (void)progress;
    set_mode();
    return 0;
}

static void live(training_life *life, int32_t threads)
{
    life->options.threads = threads;
    whole_life_run(life);
    ck_assert_int_eq(life->refused, 0);
}

START_TEST(the_mode_of_the_host_does_not_matter)
{
    static training_life usual_life, life;
    usual_life = (training_life){.options = sgtt_model_options()};
    live(&usual_life, 1);
    set_mode = modes[_i].set;
    not_given_back = 0;
    for (int32_t threads = 1; threads <= 3; threads++) {
        life = (training_life){
            .options = sgtt_model_options(), .before = enter_mode, .after = leave_mode};
        live(&life, threads);
        life_check_equal(&usual_life, &life, modes[_i].name);
    }
    life =
        (training_life){.options = sgtt_model_options(), .before = enter_mode, .after = leave_mode};
    life.options.progress = change_mode;
    live(&life, 2);
    life_check_equal(&usual_life, &life, modes[_i].name);
    ck_assert_int_eq(not_given_back, 0);
}
END_TEST

/* Large enough for threads to share; the gradients are below the smallest normal number. */
static void fill_gradients(double *bits, int32_t threads, void (*before)(void))
{
    sgt_context_options options = sgtt_model_options();
    sgt_model_config config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_LARGE);
    sgt_batch batch = sgtt_batch(3, 80, config.vocab_size, 4, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_context *context;
    fenv_t host;
    options.threads = threads;
    sgtt_ok(sgt_context_create(&context, &options));
    sgt_model *model = sgtt_model(context, &config, 3);
    fegetenv(&host);
    if (before)
        before();
    sgt_status status = sgt_model_forward(&metrics, model, &batch);
    if (!status)
        status = sgt_model_backward(model, 1e-38, NULL);
    fesetenv(&host);
    sgtt_ok(status);
    training_life sum = {0};
    float *gradients = sgtt_read_all(model, SGT_PART_GRADIENT);
    life_tell_bytes(&sum, gradients, sgtt_elements(model) * sizeof *gradients);
    *bits = sum.numbers[0];
    free(gradients);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

START_TEST(small_numbers_do_not_matter)
{
    double usual_bits, bits;
    fill_gradients(&usual_bits, 1, NULL);
    for (int32_t threads = 1; threads <= 3; threads++) {
        fill_gradients(&bits, threads, modes[_i].set);
        ck_assert_msg(bits == usual_bits, "%s, %d threads", modes[_i].name, (int)threads);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("floating-point modes");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_loop_test(cases, the_mode_of_the_host_does_not_matter, 0, MODES);
    tcase_add_loop_test(cases, small_numbers_do_not_matter, 0, MODES);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
