/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backends that sgt-backend-test must find out: the portable one with one thing wrong each, chosen
 * by CASE at compile time. Loading and opening them works.
 */
#ifndef FAULTY_H
#define FAULTY_H

#include <sgt/sys/backend_args.h>

#define READS_C         1  /* gemm reads what it overwrites when beta is 0 */
#define SHORT_SUM       2  /* gemm leaves out the last product of a long sum */
#define ONE_BATCH       3  /* gemm does the first product of a batch only */
#define OVERWRITES      4  /* rmsnorm_backward overwrites dx */
#define NO_OFFSETS      5  /* rope starts at position 0 */
#define NO_LENGTHS      6  /* attention computes every row */
#define NO_GAINS        7  /* attention_backward takes gains for ones */
#define WRITES_ASIDE    8  /* swiglu writes one element past a row */
#define NEEDS_ROOM      9  /* swiglu_backward writes dgate before it reads up */
#define TRUNCATES       10 /* convert cuts bits off */
#define KEEPS_GRADIENT  11 /* adamw leaves the gradient */
#define REVERSED        12 /* embedding_backward adds from the last row on */
#define BY_THREADS      13 /* norm depends on the number of threads */
#define NOT_SAFE        14 /* rmsnorm goes through memory that all threads share */
#define UNALIGNED       15 /* buffers start anywhere */
#define FORGETS_BUFFER  16 /* free releases nothing */
#define WRONG_SIZE      17 /* free gives back another size */
#define MUTE            18 /* allocate fails without a message */
#define LATE_WRITE      19 /* write remembers the host's memory and copies at the next read */
#define LEAKY_OPEN      20 /* an open that fails keeps what it has */
#define CRASHES         21
#define HANGS           22
#define IGNORES_TARGETS 23 /* cross_entropy gives a gradient to ignored rows */
#define OTHER_POINTER   24 /* host_pointer gives a copy */
#define FLOAT_NORM      25 /* norm sums in float32 */
#define ASKS_AGAIN      26 /* swiglu takes memory at every call */
#define LOSES_MEMORY    27 /* swiglu takes it and does not give it back */
#define IGNORES_FIELD   28 /* rmsnorm computes as if there were no field that it does not know */
#define IGNORES_TYPE    29 /* add takes every type for F32 */
#define TALKS           30 /* cross_entropy declines with a message */
#define ONE_RATE        31 /* adamw takes the rate of the first piece for all */
#define LATE_ARGS       32 /* a graph reads the arguments of its calls when it is replayed */
#define LATE_ANSWER     33 /* what cannot be recorded is declined by capture_end */
#define RUNS_AT_ONCE    34 /* a call under capture is run */
#define ALWAYS_DENSE    35 /* attention and its gradient ignore patterns */
#define NO_RINGS        36 /* attention takes the row of a ring for the key */
#define NO_MASKS        37 /* swiglu and relu ignore masks */
#define FIRST_UNITS     38 /* swiglu_backward and relu_backward take the first units for chosen */
#define LAST_OF_EQUALS  39 /* choose takes the highest index */
#define ONE_STREAM      40 /* choose draws the same noise for all streams */
#define LOUD            41 /* choose draws noise of twice the temperature */
#define OTHER_DRAWS     42 /* choose draws by another seed */
#define NO_MEAN         43 /* choose_backward leaves out the sum */
#define ONE_ROW         44 /* row_products takes the first row of y for all */
#define SWAPS           45 /* row_products_backward gives dx what is of dy */
#define FROM_THE_END    46 /* row_products_backward adds from the last row on */
#define ONE_CHOICE      47 /* unit_inputs takes the choices of the first row for all */
#define ADDS_NOTHING    48 /* unit_outputs takes no d */
#define LAST_FIRST      49 /* unit_gradients adds from the last row on */

#ifndef CASE
#error "CASE says what is wrong"
#endif

/* The cases that are about memory, or about graphs, bring memory of their own. */
#define OWN_GRAPHS (CASE >= LATE_ARGS && CASE <= RUNS_AT_ONCE)
#define OWN_MEMORY                                                                                 \
    ((CASE >= UNALIGNED && CASE <= LATE_WRITE) || CASE == OTHER_POINTER || OWN_GRAPHS)

typedef struct instance {
    sgt_graph *graph; /* under capture */
    const sgt_backend_host *services;
    void *host;
    void *portable;
    int32_t threads;
    void *late_target;
    const void *late_source;
    size_t late_bytes;
} instance;

/* ---- faulty_memory.c and faulty_graphs.c: slots, each wrong in some cases ---- */

int32_t faulty_allocate(void *made, sgt_buffer **buffer, uint64_t bytes);
void faulty_free(void *made, sgt_buffer *buffer, uint64_t bytes);
void *faulty_host_pointer(void *made, sgt_buffer *buffer);
int32_t faulty_write(void *made, const sgt_tensor *tensor, const void *data);
int32_t faulty_read(void *made, void *data, const sgt_tensor *tensor);
int32_t faulty_sync(void *made);
int32_t faulty_copy(void *made, const sgt_elementwise_args *args);
int32_t faulty_fill(void *made, const sgt_tensor *tensor, double value);
int32_t faulty_capture_begin(void *made);
int32_t faulty_capture_end(void *made, sgt_graph **graph);
int32_t faulty_replay(void *made, sgt_graph *graph);
void faulty_free_graph(void *made, sgt_graph *graph);

/* ---- faulty_parts.c: operations that not every model has ---- */

int32_t faulty_masked_swiglu(void *made, const sgt_swiglu_args *args);
int32_t faulty_masked_swiglu_backward(void *made, const sgt_swiglu_backward_args *args);
int32_t faulty_relu(void *made, const sgt_relu_args *args);
int32_t faulty_relu_backward(void *made, const sgt_relu_backward_args *args);
int32_t faulty_choose(void *made, const sgt_choose_args *args);
int32_t faulty_choose_backward(void *made, const sgt_choose_backward_args *args);
int32_t faulty_row_products(void *made, const sgt_row_products_args *args);
int32_t faulty_row_products_backward(void *made, const sgt_row_products_backward_args *args);
int32_t faulty_unit_inputs(void *made, const sgt_units_args *args);
int32_t faulty_unit_outputs(void *made, const sgt_units_args *args);
int32_t faulty_unit_gradients(void *made, const sgt_units_args *args);

/* 1: a graph under capture has room for a call, and this case records it. */
int faulty_is_recording(const instance *self);
void faulty_record_gemm(instance *self, const sgt_gemm_args *args);

#endif
