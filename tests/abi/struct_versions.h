/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call must do with a struct of a caller that was compiled against another version. A table
 * of calls has a row for every public function and every sized struct it takes (covered.py compares
 * it with the headers):
 *
 *     INPUT(function, type, call, right)    the call reads the struct; *right is one that works
 *     OUTPUT(function, type, call, same)    it fills the struct; same: each time with equal values
 *     INIT(function, type)                  it fills in the defaults
 */
#ifndef SGTT_STRUCT_VERSIONS_H
#define SGTT_STRUCT_VERSIONS_H

#include <stddef.h>

#include "testing.h"

/* Calls the function with the caller's struct, and checks that it did what it always does. The
 * struct may be written to where the function needs another value at each call. */
typedef sgt_status (*struct_call)(void *caller);

typedef struct struct_input {
    const char *function;
    const char *type;
    struct_call call;
    const void *right;
    size_t size;
} struct_input;

typedef struct struct_output {
    const char *function;
    const char *type;
    struct_call call;
    int same;
    size_t size;
} struct_output;

typedef struct struct_init {
    const char *function;
    const char *type;
    sgt_status (*call)(void *options, size_t size);
    size_t size;
} struct_init;

#define INPUT(function, type, call, right)       {#function, #type, call, right, sizeof(type)}
#define OUTPUT(function, type, call, same)       {#function, #type, call, same, sizeof(type)}
#define INIT(function, type)                     {#function, #type, init_##type, sizeof(type)}
#define INIT_CALL(function, type)                                                                  \
    static sgt_status init_##type(void *options, size_t size)                                      \
    {                                                                                              \
        return function(options, size);                                                            \
    }

typedef struct struct_tables {
    const struct_input *inputs;
    const struct_output *outputs;
    const struct_init *inits;
    size_t n_inputs, n_outputs, n_inits;
} struct_tables;

/* A test for each row of a file's tables `inputs`, `outputs` and `inits`. */
#define STRUCT_TABLES                                                                              \
    (struct_tables){.inputs = inputs,                                                              \
                    .outputs = outputs,                                                            \
                    .inits = inits,                                                                \
                    .n_inputs = sizeof inputs / sizeof inputs[0],                                  \
                    .n_outputs = sizeof outputs / sizeof outputs[0],                               \
                    .n_inits = sizeof inits / sizeof inits[0]}

Suite *struct_suite(const char *name, struct_tables tables, void (*setup)(void),
                    void (*teardown)(void));

#endif
