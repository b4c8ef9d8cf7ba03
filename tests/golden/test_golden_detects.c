/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * golden_check must see a single wrong number: each test changes one in a copy of a case and looks
 * for the FAIL of its kind. GOLDEN_CHECK is the program, GOLDEN_CASES the folder of the folders of
 * cases.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "golden_tensors.h"
#include "testing.h"

#define TENSORS "tensors.safetensors"

/* ---- a copy of a case in a folder of its own ---- */

static char folder[128];

static void path_in_copy(char path[256], const char *file)
{
    snprintf(path, 256, "%s/%s", folder, file);
}

static void write_bytes(const char *file, const void *bytes, size_t size)
{
    char path[256];
    path_in_copy(path, file);
    FILE *out = fopen(path, "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    ck_assert_int_eq(fclose(out), 0);
}

/* The bytes of a file with a 0 behind them, or NULL. */
static char *read_bytes(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return NULL;
    ck_assert_int_eq(fseek(in, 0, SEEK_END), 0);
    *size = (size_t)ftell(in);
    rewind(in);
    char *bytes = calloc(*size + 1, 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, *size, in), *size);
    fclose(in);
    return bytes;
}

static void copy_case(const char *name)
{
    static const char *const files[] = {"case.json", TENSORS};
    const char *cases = getenv("GOLDEN_CASES");
    ck_assert_ptr_nonnull(cases);
    for (int i = 0; i < 2; i++) {
        char path[1024];
        size_t size;
        snprintf(path, sizeof path, "%s/%s/%s", cases, name, files[i]);
        char *bytes = read_bytes(path, &size);
        ck_assert_msg(bytes != NULL || i == 1, "%s cannot be read", path);
        if (bytes != NULL)
            write_bytes(files[i], bytes, size);
        free(bytes);
    }
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/sgt-golden-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char path[256];
    path_in_copy(path, "case.json");
    remove(path);
    path_in_copy(path, TENSORS);
    remove(path);
    rmdir(folder);
}

/* ---- running the program ---- */

/* Its exit status; `output` gets what it printed. */
static int run_check(char *output, size_t room, const char *of)
{
    char command[1024];
    const char *program = getenv("GOLDEN_CHECK");
    ck_assert_ptr_nonnull(program);
    snprintf(command, sizeof command, "'%s' --threads 1 '%s'", program, of);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, room - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The copy must fail, with a line that has both this text and FAIL. */
static void expect_failure(const char *text)
{
    static char output[65536];
    int status = run_check(output, sizeof output, folder);
    ck_assert_msg(status == 1, "status %d for a wrong %s:\n%s", status, text, output);
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strstr(line, text) != NULL && strstr(line, "FAIL") != NULL)
            return;
    ck_abort_msg("no line says that %s failed", text);
}

START_TEST(untouched_copies_pass)
{
    static const char *const names[] = {
        "cases/forward_gqa_tied", "cases/loop_gqa",       "cases/train_growth",
        "cases/traces",           "parts/patterns_mixed", "parts/train_patterns",
        "parts/altup_two_tied",   "parts/altup_patterns", "parts/train_altup",
        "parts/units_everything", "parts/train_units_hard"};
    static char output[65536];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_folder();
        copy_case(names[i]);
        ck_assert_msg(run_check(output, sizeof output, folder) == 0, "%s", output);
        ck_assert_ptr_nonnull(strstr(output, "\n1 cases, "));
        ck_assert_ptr_null(strstr(output, "FAIL"));
        remove_folder();
    }
}
END_TEST

/* ---- one number of a tensor ---- */

typedef struct tensor_change {
    const char *name; /* of the case */
    const char *tensor;
    uint64_t element;
    double value; /* what it becomes, or what is added */
    int add;
    const char *kind; /* that must fail */
} tensor_change;

static const tensor_change tensor_changes[] = {
    {"cases/forward_gqa_tied", "out/logits", 7, 0.05, 1, " logits "},
    {"cases/forward_gqa_tied", "out/logits", 1951, NAN, 0, " evaluated_logits "},
    {"cases/forward_gqa_tied", "out/loss", 0, 1e-5, 1, " loss "},
    {"cases/forward_gqa_tied", "out/loss", 0, 1e-5, 1, " evaluated_loss "},
    {"cases/forward_gqa_tied", "grad/model.layers.0.self_attn.k_proj.weight", 2047, 1e-3, 1,
     " gradients "},
    {"cases/forward_gqa_tied", "grad/model.norm.weight", 5, 1e-3, 1, " gradients_from_logits "},
    {"cases/forward_gqa_tied", "param/model.layers.1.mlp.up_proj.weight", 0, 0.1, 1, " logits "},
    {"cases/forward_gqa_tied", "entropy/1/0/last", 3, 2e-5, 1, " entropy_last "},
    {"cases/forward_gqa_tied", "entropy/0/0/mean", 0, -2e-5, 1, " entropy_mean "},
    {"cases/forward_gqa_tied", "entropy/0/0/mean", 2, NAN, 0, " entropy_mean "},
    {"cases/loop_gqa", "entropy/2/1/last", 0, 0.5, 0, " entropy_last "}, /* was NaN */
    {"cases/loop_gqa", "grad/model.layers.2.self_attn.o_proj.weight", 11, 1e-3, 1, " gradients "},
    {"cases/train_growth", "final/lm_head.weight", 100, 0.01, 1, " final_weights "},
    {"cases/train_growth", "param/model.layers.3.self_attn.v_proj.weight", 9, 0.05, 1, " losses "},
    {"parts/patterns_mixed", "param/model.layers.1.self_attn.k_proj.weight", 40, 0.1, 1,
     " logits "},
    {"parts/patterns_mixed", "out/logits", 1701, 0.05, 1, " decoded_logits "},
    {"parts/patterns_mixed", "grad/model.layers.0.self_attn.q_proj.weight", 431, 1e-3, 1,
     " gradients "},
    {"parts/patterns_mixed", "grad/model.layers.2.self_attn.v_proj.weight", 0, 1e-3, 1,
     " gradients_from_logits "},
    {"parts/patterns_mixed", "entropy/2/4/last", 2, 2e-5, 1, " entropy_last "},
    {"parts/patterns_mixed", "entropy/0/0/mean", 3, -2e-5, 1, " entropy_mean "},
    {"parts/patterns_short", "entropy/0/0/last", 1, 2e-5, 0, " entropy_last "}, /* sees one key */
    {"parts/patterns_short", "entropy/3/0/mean", 0, 1.0, 0, " entropy_mean "},
    {"parts/train_patterns", "final/model.layers.2.self_attn.q_proj.weight", 5, 0.01, 1,
     " final_weights "},
    {"parts/altup_two_tied", "param/model.layers.1.altup.predict", 1, 0.05, 1, " logits "},
    {"parts/altup_two_tied", "param/model.layers.2.altup.correct", 0, 0.05, 1, " decoded_logits "},
    {"parts/altup_two_tied", "grad/model.layers.0.altup.predict", 2, 1e-3, 1, " gradients "},
    {"parts/altup_three_wide", "grad/model.layers.3.altup.correct", 2, 1e-3, 1,
     " gradients_from_logits "},
    {"parts/altup_three_wide", "param/model.norm.weight", 41, 0.05, 1, " evaluated_logits "},
    {"parts/altup_four_same", "entropy/1/3/mean", 2, 2e-5, 1, " entropy_mean "},
    {"parts/altup_patterns", "grad/model.embed_tokens.weight", 100, 1e-2, 1, " gradients "},
    {"parts/train_altup", "final/model.layers.2.altup.predict", 3, 0.01, 1, " final_weights "},
    {"parts/units_soft", "param/model.layers.0.mlp.controller.bias", 3, 0.5, 1, " logits "},
    {"parts/units_hard", "grad/model.layers.1.mlp.controller.up.weight", 2, 1e-2, 1,
     " gradients "},
    {"parts/units_infer", "param/model.layers.2.mlp.up_proj.weight", 7, 0.5, 1, " decoded_logits "},
    {"parts/head_wide", "param/lm_head.scale", 5, 0.1, 1, " logits "},
    {"parts/units_everything", "param/lm_head.bias", 3, 0.05, 1, " decoded_logits "},
    {"parts/units_everything", "param/lm_head.weight", 9, 0.1, 1, " evaluated_logits "},
    {"parts/train_units_soft", "final/model.layers.1.mlp.controller.bias", 3, 0.01, 1,
     " final_weights "},
    {"parts/train_units_soft", "param/lm_head.scale", 5, 0.1, 1, " losses "},
    {"parts/train_units_hard", "param/model.layers.0.mlp.controller.bias", 2, 2.0, 1, " losses "},
};

static void change_tensor(const tensor_change *change)
{
    char path[256];
    golden_tensors tensors;
    path_in_copy(path, TENSORS);
    ck_assert_ptr_null(golden_tensors_read(&tensors, path));
    const golden_tensor *tensor = golden_tensors_find(&tensors, change->tensor);
    ck_assert_msg(tensor != NULL && change->element < tensor->count, "%s", change->tensor);
    double value = change->value + (change->add ? golden_element(tensor, change->element) : 0.0);
    size_t width = tensor->type == 'd' ? 8 : 4;
    float f = (float)value;
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    long at = (long)(tensor->data - tensors.file) + (long)(change->element * width);
    ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(width == 8 ? (void *)&value : (void *)&f, width, 1, file), 1);
    ck_assert_int_eq(fclose(file), 0);
    golden_tensors_destroy(&tensors);
}

START_TEST(a_wrong_element_is_seen)
{
    make_folder();
    copy_case(tensor_changes[_i].name);
    change_tensor(&tensor_changes[_i]);
    expect_failure(tensor_changes[_i].kind);
    remove_folder();
}
END_TEST

/* ---- one number of case.json ---- */

typedef struct json_change {
    const char *name;
    const char *path; /* keys and indices, by '/' */
    double value;     /* added */
    const char *kind;
} json_change;

static const json_change json_changes[] = {
    {"cases/loop_gqa", "plan/2/0/3", -0.01, " logits "},
    {"cases/loop_gqa", "plan/2/0/3", -1.0, " entropy_last "}, /* a head less runs */
    {"cases/train_growth", "loss/0", 1e-4, " losses "},
    {"cases/train_growth", "loss/59", -1e-4, " losses "},
    {"cases/train_growth", "lr/30", 1e-3, " losses "},
    {"cases/train_growth", "grad_norm/59", 1e-3, " grad_norms "},
    {"cases/train_growth", "depth/59/3", 1, " depths "},
    {"cases/train_growth", "scale/59/3/0", 2e-6, " gains "},
    {"cases/train_growth", "action/7/1", 1, " actions "},
    {"cases/train_growth", "action/7/2/1", 1, " actions "},
    {"cases/train_growth", "growth/first_step", 1, " actions "},
    {"cases/train_growth", "adamw/weight_decay", 0.4, " final_weights "},
    {"cases/traces", "runs/3/steps/59/depth/0", 1, " depths "},
    {"cases/traces", "runs/0/steps/59/scale/2/0", 2e-6, " gains "},
    {"cases/traces", "runs/1/growth/window", 1, " actions "},
    {"parts/patterns_mixed", "parts/blocks/0/patterns/0/stride", 1, " logits "},
    {"parts/patterns_mixed", "parts/blocks/0/patterns/1/stride", 1, " entropy_mean "},
    {"parts/patterns_mixed", "parts/blocks/1/patterns/0/summary", 1, " gradients "},
    {"parts/patterns_mixed", "parts/blocks/1/patterns/1/phase", 1, " decoded_logits "},
    {"parts/patterns_mixed", "parts/blocks/1/patterns/1/phase", -1, " evaluated_logits "},
    {"parts/patterns_short", "parts/blocks/0/patterns/1/stride", -3, " entropy_last "},
    {"parts/patterns_long", "parts/blocks/2/patterns/0/stride", -1, " logits "},
    {"parts/train_patterns", "parts/blocks/1/patterns/0/stride", 1, " losses "},
    {"parts/train_patterns", "parts/blocks/0/patterns/1/summary", -1, " gains "},
    {"parts/altup_four_same", "parts/altup_streams", -1, "param/"},
    {"parts/altup_patterns", "parts/blocks/0/patterns/2/phase", -1, " logits "},
    {"parts/units_soft", "parts/blocks/0/units", 4, " logits "},
    {"parts/units_hard", "parts/blocks/1/units", -4, " gradients "},
    {"parts/train_altup", "adamw/weight_decay", 0.4, " final_weights "},
};

/* The value at a path, and the container it is in. */
static json_t *walk(json_t **parent, char **last, json_t *root, char *path)
{
    json_t *value = root;
    for (char *key = strtok(path, "/"); key != NULL; key = strtok(NULL, "/")) {
        *parent = value;
        *last = key;
        value = json_is_array(value) ? json_array_get(value, (size_t)atol(key))
                                     : json_object_get(value, key);
        ck_assert_msg(value != NULL, "no %s", key);
    }
    return value;
}

static void change_json(const json_change *change)
{
    char path[256];
    char keys[64];
    char *last = NULL;
    json_t *parent = NULL;
    path_in_copy(path, "case.json");
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
    snprintf(keys, sizeof keys, "%s", change->path);
    json_t *old = walk(&parent, &last, root, keys);
    ck_assert(json_is_number(old));
    json_t *fresh = json_is_integer(old)
                        ? json_integer(json_integer_value(old) + (json_int_t)change->value)
                        : json_real(json_real_value(old) + change->value);
    if (json_is_array(parent))
        json_array_set_new(parent, (size_t)atol(last), fresh);
    else
        json_object_set_new(parent, last, fresh);
    ck_assert_int_eq(json_dump_file(root, path, JSON_REAL_PRECISION(17)), 0);
    json_decref(root);
}

/* Sets a member of the object at a path ("": the case itself). */
static void set_member(const char *object, const char *key, json_t *value)
{
    char path[256];
    char keys[64];
    char *last = NULL;
    json_t *parent = NULL;
    path_in_copy(path, "case.json");
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
    snprintf(keys, sizeof keys, "%s", object);
    ck_assert_int_eq(json_object_set_new(walk(&parent, &last, root, keys), key, value), 0);
    ck_assert_int_eq(json_dump_file(root, path, JSON_REAL_PRECISION(17)), 0);
    json_decref(root);
}

START_TEST(a_wrong_number_is_seen)
{
    make_folder();
    copy_case(json_changes[_i].name);
    change_json(&json_changes[_i]);
    expect_failure(json_changes[_i].kind);
    remove_folder();
}
END_TEST

/* ---- cases that are not whole ---- */

/* Replaces the first `from` in a file of the copy by `to` of the same length. */
static void replace(const char *file, const char *from, const char *to)
{
    char path[256];
    size_t size;
    path_in_copy(path, file);
    char *bytes = read_bytes(path, &size);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(strlen(from), strlen(to));
    size_t at = 0;
    while (at < size && strncmp(bytes + at, from, strlen(from)) != 0)
        at++;
    ck_assert_msg(at < size, "no %s in %s", from, file);
    memcpy(bytes + at, to, strlen(to));
    write_bytes(file, bytes, size);
    free(bytes);
}

static void cut(const char *file, size_t less)
{
    char path[256];
    size_t size;
    path_in_copy(path, file);
    char *bytes = read_bytes(path, &size);
    ck_assert_ptr_nonnull(bytes);
    write_bytes(file, bytes, size - less);
    free(bytes);
}

START_TEST(missing_tensors_are_seen)
{
    static const char *const names[][2] = {
        {"\"grad/model.norm.weight\"", "\"grad/model.mron.weight\""},
        {"\"entropy/1/0/last\"", "\"entropy/1/0/lost\""},
        {"\"entropy/1/0/mean\"", "\"entrepy/1/0/mean\""},
        {"\"param/model.norm.weight\"", "\"param/model.mron.weight\""},
        {"\"out/logits\"", "\"out/legits\""},
        {"\"in/targets\"", "\"in/torgets\""},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_folder();
        copy_case("cases/forward_gqa_tied");
        replace(TENSORS, names[i][0], names[i][1]);
        expect_failure("missing");
        remove_folder();
    }
}
END_TEST

START_TEST(tensors_that_nothing_answers_to_are_seen)
{
    make_folder();
    copy_case("cases/loop_gqa");
    /* A plan without loops has no pass 1 in layer 2. */
    set_member("", "plan", json_object());
    expect_failure("passes that the model does not have");
    remove_folder();
    make_folder();
    copy_case("cases/forward_gqa_tied");
    replace(TENSORS, "\"in/tokens\"", "\"param/xyz\"");
    expect_failure("that the model does not have");
    remove_folder();
}
END_TEST

/* Another set, and words that mean nothing. */
START_TEST(other_words_of_patterns_are_seen)
{
    static const struct {
        const char *from, *to, *kind;
    } changes[] = {
        {"\"local\"", "\"block\"", " logits "},
        {"\"local\"", "\"vocal\"", "no set"},
        {"\"swiglu\"", "\"swigle\"", "none of: swiglu"},
        {"\"recycled\"", "\"recyclen\"", "none of: recycled"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_folder();
        copy_case("parts/patterns_mixed");
        replace("case.json", changes[i].from, changes[i].to);
        expect_failure(changes[i].kind);
        remove_folder();
    }
}
END_TEST

/* The order of the streams and their table are words too. */
START_TEST(other_words_of_streams_are_seen)
{
    static const char *const changes[][3] = {
        {"altup_order", "alternate", " logits "},
        {"altup_order", "backwards", "none of: alternate"},
        {"altup_table", "wide", "param/"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_folder();
        copy_case("parts/altup_four_same");
        set_member("parts", changes[i][0], json_string(changes[i][1]));
        expect_failure(changes[i][2]);
        remove_folder();
    }
}
END_TEST

/* Whoever wrote it meant something by it. */
START_TEST(members_that_nobody_reads_are_seen)
{
    static const char *const objects[][2] = {
        {"cases/forward_gqa_tied", ""},
        {"cases/forward_gqa_tied", "config"},
        {"cases/train_growth", ""},
        {"cases/train_growth", "config"},
        {"cases/train_growth", "growth"},
        {"cases/train_growth", "adamw"},
        {"cases/traces", ""},
        {"cases/traces", "runs/1"},
        {"cases/traces", "runs/1/growth"},
        {"cases/traces", "runs/1/steps/3"},
        {"parts/patterns_mixed", "parts"},
        {"parts/patterns_mixed", "parts/blocks/1"},
        {"parts/patterns_mixed", "parts/blocks/1/patterns/0"},
    };
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        make_folder();
        copy_case(objects[i][0]);
        set_member(objects[i][1], "memory", json_true());
        expect_failure("\"memory\" is not known");
        remove_folder();
    }
}
END_TEST

START_TEST(damaged_files_are_seen)
{
    make_folder();
    copy_case("cases/forward_gqa_tied");
    cut(TENSORS, 1);
    expect_failure("outside the file");
    copy_case("cases/forward_gqa_tied");
    cut("case.json", 3);
    expect_failure("case.json");
    copy_case("cases/forward_gqa_tied");
    replace("case.json", "\"forward\"", "\"farward\"");
    expect_failure("farward");
    copy_case("cases/forward_gqa_tied");
    replace("case.json", "\"d_ff\": 96", "\"d_ff\": 95");
    expect_failure("param/");
    copy_case("cases/forward_gqa_tied");
    write_bytes(TENSORS, "\377\377\377\377\377\377\377\177{}", 10);
    expect_failure("shorter than its header");
    remove_folder();
}
END_TEST

START_TEST(no_case_at_all_is_a_failure)
{
    static char output[65536];
    make_folder();
    ck_assert_int_eq(run_check(output, sizeof output, folder), 1);
    ck_assert_str_eq(output, "0 cases, 0 tensors, max relative error 0\n");
    remove_folder();
    ck_assert_int_eq(run_check(output, sizeof output, folder), 1);
    ck_assert_ptr_nonnull(strstr(output, "cannot be opened"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_check detects");
    TCase *tcase = tcase_create("changes");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, untouched_copies_pass);
    tcase_add_loop_test(tcase, a_wrong_element_is_seen, 0,
                        sizeof tensor_changes / sizeof tensor_changes[0]);
    tcase_add_loop_test(tcase, a_wrong_number_is_seen, 0,
                        sizeof json_changes / sizeof json_changes[0]);
    tcase_add_test(tcase, missing_tensors_are_seen);
    tcase_add_test(tcase, tensors_that_nothing_answers_to_are_seen);
    tcase_add_test(tcase, other_words_of_patterns_are_seen);
    tcase_add_test(tcase, other_words_of_streams_are_seen);
    tcase_add_test(tcase, members_that_nobody_reads_are_seen);
    tcase_add_test(tcase, damaged_files_are_seen);
    tcase_add_test(tcase, no_case_at_all_is_a_failure);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
