/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * golden_check [--backend NAME] [--threads N] [--isa NAME] DIR...
 *
 * Runs every golden case below the folders and prints, per case and kind of tensor,
 *     FOLDER KIND COUNT WORST-ERROR BOUND ok|FAIL
 * and last "N cases, M tensors, max relative error E". Exits 1 when anything is over its bound,
 * when a case cannot be read or run, and when there is none; 2 for wrong arguments. A backend NAME
 * with a '/' is the path of a plug-in.
 */
#include "golden.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEEPEST_FOLDER 32

/* ---- cases ---- */

static void run_case(golden_run *run, const char *folder)
{
    static const struct {
        const char *kind;
        void (*function)(golden_case *c);
    } kinds[] = {
        {"forward", golden_forward}, {"train", golden_train}, {"trace", golden_trace}};
    golden_case c;
    run->folder = folder;
    if (golden_case_open(&c, run, folder)) {
        const char *kind = json_string_value(json_object_get(c.json, "kind"));
        size_t i = 0;
        while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i].kind, kind) != 0)
            i++;
        if (i == sizeof kinds / sizeof kinds[0])
            golden_fail(run, "the kind \"%s\" is not known", kind);
        else
            kinds[i].function(&c);
    }
    run->cases++;
    golden_case_close(&c);
}

/* ---- folders ---- */

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void search(golden_run *run, const char *folder, int depth);

static void visit(golden_run *run, const char *folder, const char *name, int depth)
{
    char path[PATH_MAX];
    struct stat status;
    run->folder = folder;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        golden_fail(run, "the path of \"%s\" is too long", name);
    else if (strcmp(name, "case.json") == 0)
        run_case(run, folder);
    else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode) && depth < DEEPEST_FOLDER)
        search(run, path, depth + 1);
}

/* Names in order, so that the report does not depend on the file system. */
static void search(golden_run *run, const char *folder, int depth)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_visible, compare_names);
    run->folder = folder;
    if (count < 0) {
        golden_fail(run, "cannot be opened");
        return;
    }
    for (int i = 0; i < count; i++) {
        visit(run, folder, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
}

/* ---- arguments ---- */

static int usage(void)
{
    fprintf(stderr,
            "usage: golden_check [--backend NAME] [--threads N] [--isa NAME] DIR...\n");
    return 2;
}

/* Reads the arguments up to the first folder; its index, or 0 when they are wrong. */
static int read_arguments(sgt_context_options *options, int count, char **arguments)
{
    int i = 1;
    for (; i + 1 < count && strncmp(arguments[i], "--", 2) == 0; i += 2) {
        char *end = NULL;
        if (strcmp(arguments[i], "--backend") == 0) {
            options->backend = arguments[i + 1];
        } else if (strcmp(arguments[i], "--isa") == 0) {
            options->isa = arguments[i + 1];
        } else if (strcmp(arguments[i], "--threads") == 0) {
            options->threads = (int32_t)strtol(arguments[i + 1], &end, 10);
            if (*end != '\0')
                return 0;
        } else {
            return 0;
        }
    }
    return i < count && arguments[i][0] != '-' ? i : 0;
}

static int open_context(sgt_context **context, sgt_context_options *options)
{
    sgt_status status = SGT_OK;
    if (options->backend != NULL && strchr(options->backend, '/') != NULL)
        status = sgt_backend_load(&options->backend, options->backend);
    if (status == SGT_OK)
        status = sgt_context_create(context, options);
    if (status != SGT_OK)
        fprintf(stderr, "golden_check: %s: %s\n", sgt_status_name(status), sgt_error_message());
    return status == SGT_OK;
}

int main(int count, char **arguments)
{
    golden_run run = {0};
    sgt_context_options options;
    sgt_context_options_init(&options, sizeof options);
    int first = read_arguments(&options, count, arguments);
    if (first == 0)
        return usage();
    if (!open_context(&run.context, &options))
        return 1;
    for (int i = first; i < count; i++) {
        size_t length = strlen(arguments[i]);
        while (length > 1 && arguments[i][length - 1] == '/')
            arguments[i][--length] = '\0';
        search(&run, arguments[i], 0);
    }
    sgt_context_free(run.context);
    printf("%ld cases, %ld tensors, max relative error %.3g\n", run.cases, run.tensors, run.worst);
    return run.failures == 0 && run.cases > 0 ? 0 : 1;
}
