/* SPDX-License-Identifier: BSD-3-Clause */
/* Graphs: calls are recorded and not run, with the arguments of the call and the memory of the
 * replay. */
#include "suite.h"

#include <string.h>

#include "op_reference.h"

enum { N = 16 };

/* The tensors of a chain: y = fill + copy of (a b) b. */
typedef struct chain {
    sgtt_tensor *a, *b, *c, *d, *y;
} chain;

static chain make_chain(sgtt_machine *m)
{
    return (chain){.a = sgtt_random_matrix(m, SGTT_DENSE, N, N),
                   .b = sgtt_random_matrix(m, SGTT_DENSE, N, N),
                   .c = sgtt_random_matrix(m, SGTT_DENSE, N, N),
                   .d = sgtt_random_matrix(m, SGTT_DENSE, N, N),
                   .y = sgtt_random_matrix(m, SGTT_DENSE, N, 2 * N)};
}

/* The structs of the calls, which outlive them. */
typedef struct call_structs {
    sgt_tensor a, b, c, whole, half, source;
    sgt_gemm_args product;
    sgt_elementwise_args move;
} call_structs;

/* Structs are used again as soon as a call has returned. */
static void record_chain(sgtt_machine *m, const chain *t, call_structs *of)
{
    void *instance = m->slots_instance;
    of->a = t->a->t;
    of->b = t->b->t;
    of->c = t->c->t;
    of->product = (sgt_gemm_args){
        .size = sizeof of->product, .alpha = 0.5f, .a = &of->a, .b = &of->b, .c = &of->c};
    sgtt_slot_done(m->slots->gemm(instance, &of->product), "gemm");
    of->a = t->c->t;
    of->c = t->d->t;
    of->product.alpha = 0.25f;
    sgtt_slot_done(m->slots->gemm(instance, &of->product), "gemm");
    of->whole = t->y->t;
    sgtt_slot_done(m->mover->fill(m->mover_instance, &of->whole, 3.0), "fill");
    memset(&of->whole, 0, sizeof of->whole);
    of->half = t->y->t;
    of->half.shape[1] = N;
    of->source = t->d->t;
    of->move = (sgt_elementwise_args){
        .size = sizeof of->move, .x = &of->source, .y = &of->half};
    sgtt_slot_done(m->mover->copy(m->mover_instance, &of->move), "copy");
    of->half = t->a->t;
}

static void expect_chain(sgtt_machine *m, const chain *t)
{
    double *a = sgtt_values(m, t->a), *b = sgtt_values(m, t->b);
    double *c = sgtt_doubles(m, N * N), *d = sgtt_doubles(m, N * N);
    double *y = sgtt_doubles(m, N * 2 * N);
    sgtt_ref_gemm(c, 0.5, a, b, 0.0, NULL, N, N, N);
    sgtt_ref_gemm(d, 0.25, c, b, 0.0, NULL, N, N, N);
    for (int i = 0; i < 2 * N * N; i++)
        y[i] = i % (2 * N) < N ? d[i / (2 * N) * N + i % (2 * N)] : 3.0;
    sgtt_expect(m, t->c, c, 2e-6, "the first product of a graph");
    sgtt_expect(m, t->d, d, 4e-6, "the second product of a graph");
    sgtt_expect(m, t->y, y, 4e-6, "what a graph filled and copied");
}

static void check_chain(sgtt_machine *m)
{
    const chain t = make_chain(m);
    call_structs structs;
    sgt_graph *graph = NULL;
    sgtt_slot_done(m->slots->capture_begin(m->slots_instance), "capture_begin");
    record_chain(m, &t, &structs);
    sgtt_slot_done(m->slots->capture_end(m->slots_instance, &graph), "capture_end");
    sgtt_require(graph != NULL, "capture_end gives no graph");
    sgtt_expect_unchanged(m, t.c, "a call under capture");
    sgtt_expect_unchanged(m, t.y, "a fill and a copy under capture");
    for (int i = 0; i < 3; i++) {
        sgtt_set_random(m, t.a, -1.0, 1.0);
        sgtt_slot_done(m->slots->replay(m->slots_instance, graph), "replay");
        expect_chain(m, &t);
    }
    m->slots->free_graph(m->slots_instance, graph);
    sgtt_clear(m);
}

void sgtt_check_graphs(const void *argument)
{
    sgtt_subject subject = *(const sgtt_subject *)argument;
    sgtt_machine m;
    subject.rounds = 1;
    sgtt_open(&m, &subject, 2, 0);
    if (!m.slots->capture_begin)
        sgtt_skip("not provided");
    check_chain(&m);
    m.in_graphs = 1;
    for (int i = 0; i < sgtt_operation_count; i++)
        if (sgtt_has(m.slots, &sgtt_operations[i]))
            sgtt_run_operation(&m, &sgtt_operations[i]);
    sgtt_close(&m);
}
