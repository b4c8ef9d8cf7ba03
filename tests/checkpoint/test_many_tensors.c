/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of very many tensors: finding them by name does not take time by the square of their
 * number, and the progress callback is asked between them, so that a host can stop a long load or
 * save.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"

enum { FEW = 500, MANY = 4000, FEW_RUNS = 3, MANY_RUNS = 1 };

static char folder[SCRATCH_PATH], file[SCRATCH_PATH];

static struct watch {
    int32_t phase, stop_at, calls, total;
} watch;

static int32_t on_progress(void *user, const sgt_progress *progress)
{
    (void)user;
    if (progress->phase != watch.phase)
        return 0;
    ck_assert_int_eq(progress->done, watch.calls);
    watch.calls++;
    watch.total = progress->total;
    return progress->done == watch.stop_at ? 7 : 0;
}

static void expect(int32_t phase, int32_t stop_at)
{
    watch = (struct watch){.phase = phase, .stop_at = stop_at};
}

typedef struct subject {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_checkpoint *checkpoint;
} subject;

/* A model of `layers` layers of a weight or two each, in both kinds of files. */
static subject make_files(int32_t layers)
{
    subject s = {0};
    sgt_context_options context_options = sgtt_model_options();
    sgt_checkpoint_save_options options;
    sgt_model_config config;
    context_options.threads = 1;
    context_options.progress = on_progress;
    scratch_path(folder, "");
    scratch_path(file, "checkpoint.safetensors");
    sgtt_ok(sgt_context_create(&s.context, &context_options));
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = 3;
    config.d_model = 2;
    config.n_heads = 1;
    config.n_layers = layers;
    config.d_ff = 1;
    config.max_seq_len = 4;
    sgtt_ok(sgt_model_create(&s.model, s.context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(s.model, NULL));
    sgtt_ok(sgt_optimizer_create(&s.optimizer, s.model, NULL));
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.optimizer = s.optimizer;
    sgtt_ok(sgt_hf_save(s.model, folder, NULL));
    sgtt_ok(sgt_checkpoint_save(s.model, file, &options));
    sgtt_ok(sgt_checkpoint_open(&s.checkpoint, s.context, file));
    return s;
}

static void free_subject(subject *s)
{
    sgt_checkpoint_free(s->checkpoint);
    sgt_optimizer_free(s->optimizer);
    sgt_model_free(s->model);
    sgt_context_free(s->context);
    scratch_remove();
}

static void load_folder(const subject *s)
{
    sgt_model *again = NULL;
    sgtt_ok(sgt_hf_load(&again, s->context, folder, NULL, NULL));
    sgt_model_free(again);
}

static void open_checkpoint(const subject *s)
{
    sgt_checkpoint *again = NULL;
    sgtt_ok(sgt_checkpoint_open(&again, s->context, file));
    sgt_checkpoint_free(again);
}

static void load_checkpoint(const subject *s)
{
    sgtt_ok(sgt_checkpoint_load(s->model, s->optimizer, NULL, s->checkpoint, NULL));
}

static void find_parameters(const subject *s)
{
    sgt_tensor_view view = {.size = sizeof view};
    for (int32_t i = 0; i < sgt_model_n_parameters(s->model); i++) {
        int32_t found = -1;
        sgtt_ok(sgt_model_parameter(&view, s->model, i, SGT_PART_WEIGHT));
        sgtt_ok(sgt_model_find_parameter(&found, s->model, view.name));
        ck_assert_int_eq(found, i);
    }
}

static void save_folder(const subject *s)
{
    sgtt_ok(sgt_hf_save(s->model, folder, NULL));
}

typedef void (*work_fn)(const subject *s);

static const work_fn works[] = {load_folder, open_checkpoint, load_checkpoint, find_parameters,
                                save_folder};

enum { WORKS = sizeof works / sizeof *works };

/* The least processor time of some runs. */
static void measure(double seconds[WORKS], const subject *s, int runs)
{
    for (int i = 0; i < WORKS; i++) {
        seconds[i] = 1e9;
        for (int run = 0; run < runs; run++) {
            clock_t begin = clock();
            works[i](s);
            double spent = (double)(clock() - begin) / CLOCKS_PER_SEC;
            seconds[i] = spent < seconds[i] ? spent : seconds[i];
        }
    }
}

/* Eight times the layers: by the square of their number it would be 64 times the time. On a busy
 * machine the larger files are also slower to walk through, which was seen to make 27 of 8. */
START_TEST(time_grows_with_the_tensors)
{
    double few[WORKS], many[WORKS];
    subject s = make_files(FEW);
    measure(few, &s, FEW_RUNS);
    free_subject(&s);
    s = make_files(MANY);
    measure(many, &s, MANY_RUNS);
    free_subject(&s);
    for (int i = 0; i < WORKS; i++)
        ck_assert_msg(many[i] < 40.0 * few[i] + 0.02, "work %d: %g s for %d layers, %g s for %d", i,
                      few[i], FEW, many[i], MANY);
}
END_TEST

START_TEST(progress_reaches_every_tensor)
{
    subject s = make_files(3);
    int32_t tensors = sgt_model_n_parameters(s.model);
    expect(SGT_PHASE_LOAD, -1);
    load_folder(&s);
    ck_assert_int_eq(watch.calls, tensors);
    ck_assert_int_eq(watch.total, tensors);
    expect(SGT_PHASE_LOAD, -1);
    load_checkpoint(&s);
    ck_assert_int_eq(watch.calls, 3 * tensors); /* and two moments */
    ck_assert_int_eq(watch.total, 3 * tensors);
    expect(SGT_PHASE_SAVE, -1);
    save_folder(&s);
    ck_assert_int_eq(watch.calls, tensors);
    free_subject(&s);
}
END_TEST

/* In the middle: a load changes no handle and makes none, a save changes no file. */
START_TEST(a_stopped_call_changes_nothing)
{
    static const char stopped[] = "stopped by the progress callback (7) after 5 of";
    char kept[SCRATCH_PATH], written[SCRATCH_PATH], partial[SCRATCH_PATH];
    sgt_model *none = NULL;
    unsigned long bytes;
    subject s = make_files(3);
    scratch_path(written, "model.safetensors");
    scratch_path(kept, "kept");
    scratch_path(partial, "model.safetensors.partial");
    unsigned char *data = scratch_read(written, &bytes);
    scratch_write(kept, data, bytes);
    free(data);
    sgtt_randomize(s.model, 5);
    float *before = sgtt_read_all(s.model, SGT_PART_WEIGHT);
    expect(SGT_PHASE_LOAD, 5);
    sgtt_fails(sgt_hf_load(&none, s.context, folder, NULL, NULL), 7, stopped);
    expect(SGT_PHASE_LOAD, 5);
    sgtt_fails(sgt_checkpoint_create(&none, NULL, NULL, s.checkpoint, NULL, NULL, NULL), 7,
               stopped);
    ck_assert_ptr_null(none);
    expect(SGT_PHASE_LOAD, 5);
    sgtt_fails(sgt_checkpoint_load(s.model, s.optimizer, NULL, s.checkpoint, NULL), 7, stopped);
    float *after = sgtt_read_all(s.model, SGT_PART_WEIGHT);
    ck_assert_mem_eq(before, after, sgtt_elements(s.model) * sizeof *before);
    expect(SGT_PHASE_SAVE, 5);
    sgtt_fails(sgt_hf_save(s.model, folder, NULL), 7, stopped);
    ck_assert(scratch_equal(written, kept));
    ck_assert_int_ne(access(partial, F_OK), 0);
    free(before);
    free(after);
    free_subject(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("many tensors");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, NULL, scratch_remove);
    tcase_add_test(tests, time_grows_with_the_tensors);
    tcase_add_test(tests, progress_reaches_every_tensor);
    tcase_add_test(tests, a_stopped_call_changes_nothing);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
