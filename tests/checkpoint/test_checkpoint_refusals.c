/* SPDX-License-Identifier: BSD-3-Clause */
/* What does not fit is refused by name, and a load that fails leaves the handles as they were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/safetensors.h"

#include "fixtures.h"
#include "scratch.h"
#include "training.h"

static char path[SCRATCH_PATH];
static char before[SCRATCH_PATH];
static small_training t;     /* whose file lies at `path` */
static small_training other; /* a training of its own */

static void setup(void)
{
    scratch_path(path, "checkpoint");
    scratch_path(before, "before");
    t = training_start(1, 5);
    training_run(&t, 1, 5);
    sgtt_ok(training_save(&t, path));
    other = training_start(1, 77);
    training_run(&other, 1, 8);
    sgtt_ok(training_save(&other, before));
}

static void teardown(void)
{
    sgtt_small_free(&t);
    sgtt_small_free(&other);
    scratch_remove();
}

static sgt_status load(void)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_status status = sgt_checkpoint_open(&checkpoint, other.context, path);
    if (status == SGT_OK)
        status = sgt_checkpoint_load(other.model, other.optimizer, other.growth, checkpoint, NULL);
    sgt_checkpoint_free(checkpoint);
    return status;
}

static void check_untouched(void)
{
    char now[SCRATCH_PATH];
    scratch_path(now, "now");
    sgtt_ok(training_save(&other, now));
    ck_assert(scratch_equal(before, now));
}

/* Changes the header, and lets the checksums go. */
static void edit(const char *from, const char *to)
{
    unsigned long bytes;
    sgt_checkpoint_save_options options;
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.checksums = 0;
    options.optimizer = t.optimizer;
    options.growth = t.growth;
    sgtt_ok(sgt_checkpoint_save(t.model, path, &options));
    unsigned char *data = scratch_read(path, &bytes);
    char *place = memmem(data, bytes, from, strlen(from));
    ck_assert_msg(place != NULL, "no %s", from);
    size_t longer = strlen(to) - strlen(from), behind = bytes - (size_t)(place - (char *)data);
    uint64_t length; /* of the header, in the first 8 bytes */
    unsigned char *edited = malloc(bytes + strlen(to));
    ck_assert_ptr_nonnull(edited);
    memcpy(edited, data, bytes - behind);
    memcpy(edited + (bytes - behind), to, strlen(to));
    memcpy(edited + (bytes - behind) + strlen(to), place + strlen(from), behind - strlen(from));
    memcpy(&length, edited, sizeof length);
    length += longer;
    memcpy(edited, &length, sizeof length);
    scratch_write(path, edited, bytes + longer);
    free(edited);
    free(data);
}

static const struct {
    const char *from, *to;
    sgt_status status;
    const char *message;
} edits[] = {
    {"\"sgt.checkpoint\":\"1\"", "\"sgt.checkpoint\":\"3\"", SGT_E_VERSION, "of version 3"},
    {"\"sgt.checkpoint\":\"1\"", "\"sgt.checkpoint\":\"0\"", SGT_E_FORMAT, "sgt.checkpoint is '0'"},
    {"\"sgt.checkpoint\":\"1\"", "\"sgt.checkpoimt\":\"1\"", SGT_E_FORMAT, "no checkpoint of"},
    {"\"model.d_model\":", "\"model.d_mudel\":", SGT_E_FORMAT, "'model.d_model' is missing"},
    {"\"plan\":{",
     "\"model.layers.0.gate\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"plan\":{",
     SGT_E_VERSION, "tensor 'model.layers.0.gate' is not known to this libsgt"},
    {"\"model.d_model\":", "\"model.experts\":\"8\",\"model.d_model\":", SGT_E_VERSION,
     "metadata: 'model.experts' is not known to this libsgt"},
    {"\"optimizer.lr\":", "\"optimizer.rank\":\"8\",\"optimizer.lr\":", SGT_E_VERSION,
     "'optimizer.rank' is not known"},
    {"\"optimizer.lr\":", "\"sgt.streams\":\"8\",\"optimizer.lr\":", SGT_E_VERSION,
     "'sgt.streams' is not known"},
    {"\"optimizer.lr\":", "\"memory\":\"\",\"optimizer.lr\":", SGT_E_VERSION,
     "'memory' is not known"},
    {"\"model.n_layers\":\"3\"", "\"model.n_layers\":\"x\"", SGT_E_FORMAT, "n_layers is 'x'"},
    {"\"model.n_layers\":\"3\"", "\"model.n_layers\":\"4\"", SGT_E_FORMAT,
     "'model.layers.3.input_layernorm.weight' is missing"},
    {"\"model.n_layers\":\"3\"", "\"model.n_layers\":\"2\"", SGT_E_VERSION,
     "tensor 'model.layers.2."},
    {"\"model.max_seq_len\":\"", "\"model.max_seq_len\":\"1", SGT_E_INVALID_ARGUMENT,
     "max_seq_len 1"},
    {"\"model.tied\":\"0\"", "\"model.tied\":\"7\"", SGT_E_FORMAT, "tied is 7"},
    {"\"optimizer.steps\":\"5\"", "\"optimizer.steps\":\"4\"", SGT_E_FORMAT, "optimizer.updates"},
    {"\"optimizer.steps\":\"5\"", "\"optimizer.steps\":\" \"", SGT_E_FORMAT, "optimizer.steps"},
    {"\"optimizer.steps\":\"5\"", "\"optimizer.steps\":\"9223372036854775806\"", SGT_E_FORMAT,
     "optimizer.steps is not possible"},
    {"\"optimizer.steps\":\"5\"", "\"optimizer.steps\":\"9007199254740993\"", SGT_E_FORMAT,
     "optimizer.steps is not possible"},
    {"\"growth.last_step\":\"5\"", "\"growth.last_step\":\"9007199254740993\"", SGT_E_FORMAT,
     "growth.last_step is not possible"},
    {"\"optimizer.lr\":\"0x3f", "\"optimizer.lr\":\"0xff", SGT_E_FORMAT,
     "sgt_optimizer_options.lr"},
    {"\"optimizer.lr\":\"0x3f", "\"optimizer.lr\":\"0X3f", SGT_E_FORMAT, "optimizer.lr is"},
    {"\"flops.executed\":\"0x4", "\"flops.executed\":\"0xf", SGT_E_FORMAT, "flops.executed"},
    {"\"growth.saved\":\"1\"", "\"growth.saved\":\"2\"", SGT_E_FORMAT, "growth.saved"},
    {"\"growth.policy\":", "\"entropy.mean\":", SGT_E_FORMAT, "'growth.policy' is missing"},
    {"\"optimizer.moment1.model.norm", "\"optimizer.moment3.model.norm", SGT_E_FORMAT,
     "'optimizer.moment1.model.norm.weight' is missing"},
    {"\"entropy.unseen\":\"0\"", "\"entropy.unseen\":\"1\"", SGT_E_FORMAT, "'entropy.batches' is "},
};

START_TEST(an_edited_file_is_refused)
{
    edit(edits[_i].from, edits[_i].to);
    sgtt_fails(load(), edits[_i].status, edits[_i].message);
    check_untouched();
}
END_TEST

/* The most steps that a file may tell of are gone on from. */
START_TEST(the_last_steps_are_taken)
{
    sgt_step_report report = {.size = sizeof report};
    edit("\"optimizer.steps\":\"5\"", "\"optimizer.steps\":\"9007199254740992\"");
    sgtt_ok(load());
    training_accumulate(&other, 6);
    sgtt_ok(sgt_optimizer_step(&report, other.optimizer, NULL));
    ck_assert_int_eq(report.step, INT64_C(9007199254740993));
    sgt_growth_input input = {.size = sizeof input, .step = report.step};
    sgtt_fails(sgt_growth_step(NULL, other.growth, &input), SGT_E_INVALID_ARGUMENT, "2^53");
}
END_TEST

START_TEST(every_key_that_differs_is_named)
{
    small_training wide = {.context = other.context};
    sgt_checkpoint *checkpoint = NULL;
    sgt_model_config config = training_config(SGTT_KIND_DENSE);
    config.d_ff += 5;
    config.vocab_size = 23;
    config.rope_theta = 500000.0;
    wide.model = sgtt_model(wide.context, &config, 1);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, other.context, path));
    sgtt_fails(sgt_checkpoint_load(wide.model, NULL, NULL, checkpoint, NULL),
               SGT_E_INVALID_ARGUMENT, "vocab_size 19 in the file, 23 here; d_ff ");
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), "rope_theta 12345.678 in the file, 500000 "));
    ck_assert_ptr_null(strstr(sgt_error_message(), "n_layers"));
    sgtt_fails(sgt_checkpoint_load(wide.model, other.optimizer, NULL, checkpoint, NULL),
               SGT_E_INVALID_ARGUMENT, "optimizer is of another model");
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(wide.model);
}
END_TEST

START_TEST(another_policy_is_refused)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_growth_sparse_options options;
    sgt_growth_free(other.growth);
    sgt_growth_policy_free(other.policy);
    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 4;
    sgtt_ok(sgt_growth_policy_sparse(&other.policy, other.context, 3, 4, &options));
    sgtt_ok(sgt_growth_create(&other.growth, other.model, other.policy, NULL));
    sgtt_ok(training_save(&other, before));
    sgtt_ok(sgt_checkpoint_open(&checkpoint, other.context, path));
    sgtt_fails(load(), SGT_E_INVALID_ARGUMENT,
               "'growth.policy': the state is of a sparse policy with");
    check_untouched();
    sgt_checkpoint_free(checkpoint);
}
END_TEST

START_TEST(a_step_under_way_is_not_saved)
{
    training_accumulate(&t, 6);
    sgtt_fails(training_save(&t, before), SGT_E_STATE, "a step is under way");
    sgtt_ok(sgt_model_zero_gradients(t.model));
    sgtt_ok(training_save(&t, before));
    sgt_batch batch = sgtt_batch(2, 5, 19, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_forward(&metrics, t.model, &batch));
    sgtt_fails(training_save(&t, before), SGT_E_STATE, "a step is under way");
    sgtt_batch_free(&batch);
}
END_TEST

START_TEST(what_cannot_be_saved_is_refused)
{
    const char *keys[] = {"a", "a"}, *values[] = {"1", "2"};
    sgt_checkpoint_save_options options;
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.keys = keys;
    options.values = values;
    options.n_values = 2;
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT, "'a' twice");
    keys[1] = "";
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT, "keys[1]");
    keys[1] = "b";
    values[1] = "\xff";
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT, "UTF-8");
    options.keys = NULL;
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT,
               "keys is NULL");
    options.n_values = 0;
    options.optimizer = other.optimizer;
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT, "optimizer");
    options.optimizer = NULL;
    options.growth = other.growth;
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT, "growth");
    options.checksums = 2;
    sgtt_fails(sgt_checkpoint_save(t.model, path, &options), SGT_E_INVALID_ARGUMENT, "checksums");
    sgtt_fails(sgt_checkpoint_save(t.model, NULL, NULL), SGT_E_INVALID_ARGUMENT, "path");
    sgtt_fails(sgt_checkpoint_save(NULL, path, NULL), SGT_E_INVALID_ARGUMENT, "model");
    sgtt_ok(load());
}
END_TEST

/* A device would be a file from then on. */
START_TEST(only_files_are_replaced)
{
    char pipe[SCRATCH_PATH], link[SCRATCH_PATH];
    struct stat there;
    scratch_path(pipe, "pipe");
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    sgtt_fails(training_save(&t, pipe), SGT_E_IO, "pipe: is not a regular file");
    ck_assert_int_eq(stat(pipe, &there), 0);
    ck_assert(S_ISFIFO(there.st_mode));
    scratch_path(link, "");
    sgtt_fails(training_save(&t, link), SGT_E_IO, "is not a regular file");
    scratch_path(link, "link to a pipe");
    ck_assert_int_eq(symlink(pipe, link), 0);
    sgtt_fails(training_save(&t, link), SGT_E_IO, "link to a pipe: is not a regular file");
    ck_assert_int_eq(unlink(link), 0);

    ck_assert_int_eq(symlink(path, link), 0); /* is replaced */
    scratch_write(path, "kept", 4);
    sgtt_ok(training_save(&t, link));
    ck_assert_int_eq(lstat(link, &there), 0);
    ck_assert(S_ISREG(there.st_mode));
    unsigned long bytes;
    unsigned char *kept = scratch_read(path, &bytes);
    ck_assert_uint_eq(bytes, 4);
    free(kept);
}
END_TEST

/* Each flipped bit is seen, wherever it is: prime steps hit header and data alike. */
START_TEST(a_flipped_bit_is_seen)
{
    unsigned long bytes;
    if (!sgti_checksums_exist())
        return;
    unsigned char *data = scratch_read(path, &bytes);
    for (unsigned long i = 0; i < bytes; i += i < 12000 ? 97 : 499) {
        data[i] ^= (unsigned char)(1 << i % 8);
        scratch_write(path, data, bytes);
        sgt_status status = load();
        ck_assert_msg(status < 0, "bit of byte %lu of %lu", i, bytes);
        ck_assert_msg(strstr(sgt_error_message(), "checkpoint") != NULL, "%s", sgt_error_message());
        data[i] ^= (unsigned char)(1 << i % 8);
    }
    free(data);
    check_untouched();
}
END_TEST

START_TEST(a_truncated_file_is_refused)
{
    unsigned long bytes;
    unsigned char *data = scratch_read(path, &bytes);
    for (unsigned long length = 0; length < bytes; length += length < 64 ? 1 : 997) {
        scratch_write(path, data, length);
        ck_assert_int_eq(load(), SGT_E_FORMAT);
    }
    free(data);
    check_untouched();
}
END_TEST

/* The file loses its end while it is open. */
START_TEST(a_file_that_shrinks_is_refused)
{
    sgt_checkpoint *checkpoint = NULL;
    unsigned long bytes;
    free(scratch_read(path, &bytes));
    sgtt_ok(sgt_checkpoint_open(&checkpoint, other.context, path));
    ck_assert_int_eq(truncate(path, (off_t)bytes - 700), 0);
    sgtt_fails(sgt_checkpoint_load(other.model, other.optimizer, other.growth, checkpoint, NULL),
               SGT_E_IO, "tensor '");
    sgt_checkpoint_free(checkpoint);
    check_untouched();
}
END_TEST

static size_t watched_bytes; /* blocks of this size are counted */
static int32_t watched_blocks;

static void *watched_allocate(void *user, size_t alignment, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    watched_blocks += bytes == watched_bytes;
    return posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) == 0 ? memory : NULL;
}

static void limited_release(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

/* Makes a model from the file, and counts the blocks of the watched size meanwhile. */
static sgt_status make_watched(void)
{
    static const sgt_allocator allocator = {.size = sizeof allocator,
                                            .allocate = watched_allocate,
                                            .release = limited_release};
    sgt_context_options options = sgtt_model_options();
    sgt_context *context = NULL;
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = NULL;
    options.allocator = &allocator;
    sgtt_ok(sgt_context_create(&context, &options));
    sgt_status status = sgt_checkpoint_open(&checkpoint, context, path);
    watched_blocks = 0;
    if (status == SGT_OK)
        status = sgt_checkpoint_create(&model, NULL, NULL, checkpoint, NULL, NULL, NULL);
    sgt_model_free(model);
    sgt_checkpoint_free(checkpoint);
    sgt_context_free(context);
    return status;
}

/* Memory is taken for those entropies that the file has, not for those it tells of. */
START_TEST(entropies_are_not_made_up)
{
    const int32_t depth = 5;
    sgt_plan *plan = sgtt_plan_of(t.model);
    sgtt_ok(sgt_plan_set_depth(plan, 1, depth));
    sgtt_ok(sgt_model_set_plan(t.model, plan));
    sgt_plan_free(plan);
    training_accumulate(&t, 6);
    training_update(&t);
    watched_bytes = (size_t)(2 * 3 * (1 + depth) * 4) * sizeof(double);
    edit("\"entropy.kinds\":\"1\"", "\"entropy.kinds\":\"1\"");
    sgtt_ok(make_watched());
    ck_assert_int_eq(watched_blocks, 1);
    edit("\"entropy.kinds\":\"1\"", "\"entropy.kinds\":\"0\"");
    sgtt_ok(make_watched());
    ck_assert_int_eq(watched_blocks, 0);
    edit("\"entropy.last\":", "\"entropy.mean\":");
    sgtt_fails(make_watched(), SGT_E_FORMAT, "'entropy.last' is missing");
    ck_assert_int_eq(watched_blocks, 0);
    edit("\"entropy.kinds\":\"1\"", "\"entropy.kinds\":\"3\"");
    sgtt_fails(make_watched(), SGT_E_FORMAT, "'entropy.mean' is missing");
    ck_assert_int_eq(watched_blocks, 0);
    edit("\"dtype\":\"F64\",\"shape\":[3,", "\"dtype\":\"I64\",\"shape\":[3,");
    sgtt_fails(make_watched(), SGT_E_FORMAT, "'entropy.last' has the wrong type");
    ck_assert_int_eq(watched_blocks, 0);
}
END_TEST

static sgt_status allocate_from_budget(int32_t budget);

/* Memory that fails at the n-th call, for every n until a load goes through. */
START_TEST(memory_that_runs_out_changes_nothing)
{
    sgt_status status = SGT_E_OUT_OF_MEMORY;
    int32_t budget = 0;
    for (; status != SGT_OK; budget++) {
        ck_assert_int_lt(budget, 200);
        status = allocate_from_budget(budget);
    }
    ck_assert_int_gt(budget, 8);
}
END_TEST

/* What its owner hid stays hidden. */
START_TEST(permissions_are_kept)
{
    struct stat there;
    ck_assert_int_eq(chmod(path, 0640), 0);
    sgtt_ok(training_save(&t, path));
    ck_assert_int_eq(stat(path, &there), 0);
    ck_assert_int_eq(there.st_mode & 0777, 0640);
}
END_TEST

static int32_t calls_left;

static void *limited_allocate(void *user, size_t alignment, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    if (calls_left-- <= 0)
        return NULL;
    return posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) == 0 ? memory : NULL;
}

static sgt_status allocate_from_budget(int32_t budget)
{
    static const sgt_allocator allocator = {.size = sizeof allocator,
                                            .allocate = limited_allocate,
                                            .release = limited_release};
    small_training life = {0};
    sgt_context_options options = sgtt_model_options();
    sgt_model_config config = training_config(SGTT_KIND_DENSE);
    sgt_checkpoint *checkpoint = NULL;
    sgt_context_memory usage = {.size = sizeof usage};
    options.allocator = &allocator;
    calls_left = INT32_MAX;
    sgtt_ok(sgt_context_create(&life.context, &options));
    life.model = sgtt_model(life.context, &config, 77);
    sgtt_ok(sgt_optimizer_create(&life.optimizer, life.model, NULL));
    life.policy = training_policy(life.context, SGTT_KIND_DENSE);
    sgtt_ok(sgt_growth_create(&life.growth, life.model, life.policy, NULL));
    training_run(&life, 1, 4);
    sgtt_ok(training_save(&life, before));
    sgtt_ok(sgt_context_get_memory(&usage, life.context));
    uint64_t current = usage.current;

    calls_left = budget;
    sgt_status status = sgt_checkpoint_open(&checkpoint, life.context, path);
    if (status == SGT_OK)
        status =
            sgt_checkpoint_load(life.model, life.optimizer, life.growth, checkpoint, NULL);
    calls_left = INT32_MAX;
    sgt_checkpoint_free(checkpoint);
    if (status != SGT_OK) {
        char now[SCRATCH_PATH];
        ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
        scratch_path(now, "now");
        sgtt_ok(training_save(&life, now));
        ck_assert(scratch_equal(before, now));
        sgtt_ok(sgt_context_get_memory(&usage, life.context));
        ck_assert_uint_le(usage.current, current + 65536); /* buffers that policies keep */
    }
    sgtt_small_free(&life);
    return status;
}

int main(void)
{
    Suite *suite = suite_create("refusals of checkpoints");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, an_edited_file_is_refused, 0, sizeof edits / sizeof edits[0]);
    tcase_add_test(tests, the_last_steps_are_taken);
    tcase_add_test(tests, every_key_that_differs_is_named);
    tcase_add_test(tests, another_policy_is_refused);
    tcase_add_test(tests, a_step_under_way_is_not_saved);
    tcase_add_test(tests, what_cannot_be_saved_is_refused);
    tcase_add_test(tests, only_files_are_replaced);
    tcase_add_test(tests, permissions_are_kept);
    tcase_add_test(tests, a_flipped_bit_is_seen);
    tcase_add_test(tests, a_truncated_file_is_refused);
    tcase_add_test(tests, a_file_that_shrinks_is_refused);
    tcase_add_test(tests, entropies_are_not_made_up);
    tcase_add_test(tests, memory_that_runs_out_changes_nothing);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
