/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances and operations of the faulty backends, and their table. */
#include "faulty.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static float *data_of(const sgt_tensor *t)
{
    return (float *)(void *)t->buffer + t->offset;
}

/* ---- instances ---- */

static int32_t open_backend(void **made, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    instance *self = services->allocate(args->host, 16, sizeof *self);
    if (self == NULL)
        return SGT_E_OUT_OF_MEMORY;
    *self = (instance){.services = services, .host = args->host, .threads = args->threads};
    int32_t status = services->portable->open(&self->portable, args);
    if (status != SGT_OK) {
        if (CASE != LEAKY_OPEN)
            services->release(args->host, self, sizeof *self);
        return status;
    }
    *made = self;
    return SGT_OK;
}

static void close_backend(void *made)
{
    instance *self = made;
    self->services->portable->close(self->portable);
    self->services->release(self->host, self, sizeof *self);
}

/* ---- operations, each wrong in one of the cases ---- */

static int32_t gemm(void *made, const sgt_gemm_args *args)
{
    instance *self = made;
    if (!sgt_args_fit(SGT_SLOT(gemm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    if (faulty_is_recording(self)) {
        faulty_record_gemm(self, args);
        return SGT_OK;
    }
    const sgt_backend *portable = self->services->portable;
    const int32_t last = args->a->rank - 1;
    sgt_tensor a = *args->a, b = *args->b, c = *args->c;
    sgt_gemm_args own = *args;
    own.size = sizeof own;
    if (CASE == READS_C && args->beta == 0.0f) {
        const sgt_elementwise_args zero = {.size = sizeof zero, .alpha = 0.0f, .y = args->c};
        portable->scale(self->portable, &zero); /* NaN stays NaN */
        own.beta = 1.0f;
        own.d = NULL;
    }
    if (CASE == SHORT_SUM && a.shape[last] > 90) {
        a.shape[last]--;
        b.shape[last - 1]--;
        own.a = &a;
        own.b = &b;
    }
    if (CASE == ONE_BATCH && c.rank == 3) {
        a.shape[0] = b.shape[0] = c.shape[0] = 1;
        own.a = &a;
        own.b = &b;
        own.c = &c;
    }
    return portable->gemm(self->portable, &own);
}

static int32_t embedding_backward(void *made, const sgt_embedding_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(embedding_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    const int64_t count = args->ids->shape[0];
    int32_t status = SGT_OK;
    for (int64_t n = count - 1; n >= 0 && status == SGT_OK; n--) {
        sgt_tensor id = *args->ids, row = *args->dout;
        sgt_embedding_backward_args one = *args;
        one.size = sizeof one;
        id.shape[0] = row.shape[0] = 1;
        id.offset += (uint64_t)(n * id.strides[0]);
        row.offset += (uint64_t)(n * row.strides[0]);
        one.ids = &id;
        one.dout = &row;
        status = self->services->portable->embedding_backward(self->portable, &one);
    }
    return status;
}

static int32_t rmsnorm(void *made, const sgt_rmsnorm_args *args)
{
    if (CASE != IGNORES_FIELD && !sgt_args_fit(SGT_SLOT(rmsnorm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    static float shared[1 << 17];
    const instance *self = made;
    if (CASE == IGNORES_FIELD) {
        sgt_rmsnorm_args known = *args;
        known.size = sizeof known;
        return self->services->portable->rmsnorm(self->portable, &known);
    }
    const int64_t rows = args->x->shape[0], d = args->x->shape[1];
    if (rows * d > (int64_t)(sizeof shared / sizeof *shared))
        return self->services->portable->rmsnorm(self->portable, args);
    const sgt_tensor between = {.size = sizeof between,
                                .dtype = SGT_F32,
                                .buffer = (sgt_buffer *)(void *)shared,
                                .rank = 2,
                                .shape = {rows, d},
                                .strides = {d, 1}};
    const sgt_elementwise_args in = {.size = sizeof in, .x = args->x, .y = &between};
    sgt_rmsnorm_args own = *args;
    own.size = sizeof own;
    own.x = &between;
    self->services->portable->copy(self->portable, &in);
    usleep(200);
    return self->services->portable->rmsnorm(self->portable, &own);
}

static int32_t rmsnorm_backward(void *made, const sgt_rmsnorm_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rmsnorm_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    self->services->portable->fill(self->portable, args->dx, 0.0);
    return self->services->portable->rmsnorm_backward(self->portable, args);
}

static int32_t rope(void *made, const sgt_rope_args *args)
{
    const instance *self = made;
    sgt_rope_args own = *args;
    own.size = sizeof own;
    if (!sgt_args_fit(SGT_SLOT(rope), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    own.offsets = NULL;
    if (CASE == CRASHES)
        raise(SIGSEGV);
    return self->services->portable->rope(self->portable, &own);
}

static int32_t attention(void *made, const sgt_attention_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(attention), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_attention_args own = *args;
    own.size = sizeof own;
    if (CASE == NO_LENGTHS)
        own.lengths = NULL;
    else if (CASE == NO_RINGS)
        own.ring = 0;
    else
        own.patterns = NULL;
    return self->services->portable->attention(self->portable, &own);
}

static int32_t attention_backward(void *made, const sgt_attention_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(attention_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    sgt_attention_backward_args own = *args;
    own.size = sizeof own;
    if (CASE == NO_GAINS)
        own.gains = NULL;
    else
        own.patterns = NULL;
    return self->services->portable->attention_backward(self->portable, &own);
}

static int32_t swiglu(void *made, const sgt_swiglu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    int32_t status = self->services->portable->swiglu(self->portable, args);
    if (CASE == ASKS_AGAIN || CASE == LOSES_MEMORY) {
        void *room = self->services->allocate(self->host, 64, 100);
        if (room == NULL)
            return SGT_E_OUT_OF_MEMORY;
        if (CASE == ASKS_AGAIN)
            self->services->release(self->host, room, 100);
        return status;
    }
    if (args->out->strides[0] > args->out->shape[1])
        data_of(args->out)[args->out->shape[1]] = 0.0f;
    return status;
}

static int32_t swiglu_backward(void *made, const sgt_swiglu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    const sgt_elementwise_args early = {.size = sizeof early, .x = args->dout, .y = args->dup};
    int32_t status = self->services->portable->swiglu_backward(self->portable, args);
    if (status == SGT_OK && data_of(args->up) == data_of(args->dup))
        status = self->services->portable->copy(self->portable, &early);
    return status;
}

static int32_t cross_entropy(void *made, const sgt_cross_entropy_args *args)
{
    if (CASE != TALKS && !sgt_args_fit(SGT_SLOT(cross_entropy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    int32_t status = self->services->portable->cross_entropy(self->portable, args);
    if (CASE == TALKS)
        return status == SGT_E_UNSUPPORTED
                   ? self->services->fail(self->host, status, "these arguments are too new")
                   : status;
    const int32_t *targets = (const int32_t *)(const void *)args->targets->buffer +
                             args->targets->offset;
    for (int64_t r = 0; args->dlogits != NULL && r < args->targets->shape[0]; r++) {
        if (targets[r] < 0)
            data_of(args->dlogits)[r * args->dlogits->strides[0]] = 1e-3f;
    }
    return status;
}

static int32_t add(void *made, const sgt_elementwise_args *args)
{
    const instance *self = made;
    sgt_elementwise_args own = *args;
    own.size = sizeof own;
    sgt_tensor tensors[3] = {*args->x, *args->y, *args->z};
    if (!sgt_args_known(args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    for (int i = 0; i < 3; i++)
        tensors[i].dtype = SGT_F32;
    own.x = &tensors[0];
    own.y = &tensors[1];
    own.z = &tensors[2];
    return self->services->portable->add(self->portable, &own);
}

static int32_t scale(void *made, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(scale), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    (void)made;
    (void)args;
    while (CASE == HANGS)
        pause();
    return SGT_OK;
}

static double norm_of(const instance *self, const float *x, int64_t count)
{
    const int32_t parts = CASE == BY_THREADS ? self->threads : 1;
    double sum = 0.0;
    for (int32_t part = 0; part < parts; part++) {
        double of_part = 0.0;
        float single = 0.0f;
        for (int64_t i = count * part / parts; i < count * (part + 1) / parts; i++) {
            const double value = (double)x[i];
            of_part += value * value;
            single += (float)(value * value);
        }
        sum += CASE == FLOAT_NORM ? (double)single : of_part;
    }
    return sum;
}

static int32_t norm(void *made, const sgt_norm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(norm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    double sum = 0.0;
    for (int32_t k = 0; k < args->n_pieces; k++)
        sum += norm_of(self, data_of(args->x) + args->firsts[k], args->counts[k]);
    *((double *)(void *)args->sum->buffer + args->sum->offset) = sum;
    return SGT_OK;
}

static int32_t convert(void *made, const sgt_elementwise_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(convert), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    if (args->x->dtype != SGT_F32 || args->y->dtype != SGT_BF16 || args->x->rank != 1)
        return self->services->portable->convert(self->portable, args);
    const uint16_t *from = (const uint16_t *)(const void *)data_of(args->x);
    uint16_t *to = (uint16_t *)(void *)args->y->buffer + args->y->offset;
    for (int64_t i = 0; i < args->x->shape[0]; i++)
        to[i * args->y->strides[0]] = from[2 * i * args->x->strides[0] + 1];
    return SGT_OK;
}

static int32_t adamw(void *made, const sgt_adamw_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(adamw), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const instance *self = made;
    const size_t bytes = (size_t)args->grad->shape[0] * sizeof(float);
    float rates[64];
    sgt_adamw_args own = *args;
    own.size = sizeof own;
    if (CASE == ONE_RATE) {
        for (int32_t i = 0; i < args->n_pieces && i < 64; i++)
            rates[i] = args->rates[0];
        own.rates = rates;
        return self->services->portable->adamw(self->portable, &own);
    }
    float *kept = malloc(bytes);
    if (kept == NULL)
        return SGT_E_OUT_OF_MEMORY;
    memcpy(kept, data_of(args->grad), bytes);
    int32_t status = self->services->portable->adamw(self->portable, args);
    memcpy(data_of(args->grad), kept, bytes);
    free(kept);
    return status;
}

/* ---- the entry ---- */

/* The case's slot is its own; the others are left to the portable kernels. */
#define WHEN(condition, function) ((condition) ? (function) : NULL)
#define MEMORY(function)          WHEN(OWN_MEMORY, function)
#define GRAPHS(function)          WHEN(OWN_GRAPHS, function)
#define UNITS                     (CASE >= ONE_CHOICE && CASE <= LAST_FIRST)

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = "faulty",
    .open = open_backend,
    .close = close_backend,
    .allocate = MEMORY(faulty_allocate),
    .free = MEMORY(faulty_free),
    .host_pointer = MEMORY(faulty_host_pointer),
    .read = MEMORY(faulty_read),
    .write = MEMORY(faulty_write),
    .copy = MEMORY(faulty_copy),
    .fill = MEMORY(faulty_fill),
    .sync = MEMORY(faulty_sync),
    .gemm = gemm,
    .embedding_backward = WHEN(CASE == REVERSED, embedding_backward),
    .rmsnorm = WHEN(CASE == NOT_SAFE || CASE == IGNORES_FIELD, rmsnorm),
    .rmsnorm_backward = WHEN(CASE == OVERWRITES, rmsnorm_backward),
    .rope = WHEN(CASE == NO_OFFSETS || CASE == CRASHES, rope),
    .attention = WHEN(CASE == NO_LENGTHS || CASE == ALWAYS_DENSE || CASE == NO_RINGS, attention),
    .attention_backward = WHEN(CASE == NO_GAINS || CASE == ALWAYS_DENSE, attention_backward),
    .swiglu = CASE == NO_MASKS ? faulty_masked_swiglu
                               : WHEN(CASE == WRITES_ASIDE || CASE == ASKS_AGAIN ||
                                          CASE == LOSES_MEMORY, swiglu),
    .swiglu_backward = CASE == FIRST_UNITS ? faulty_masked_swiglu_backward
                                           : WHEN(CASE == NEEDS_ROOM, swiglu_backward),
    .cross_entropy = WHEN(CASE == IGNORES_TARGETS || CASE == TALKS, cross_entropy),
    .add = WHEN(CASE == IGNORES_TYPE, add),
    .scale = WHEN(CASE == HANGS, scale),
    .norm = WHEN(CASE == BY_THREADS || CASE == FLOAT_NORM, norm),
    .convert = WHEN(CASE == TRUNCATES, convert),
    .adamw = WHEN(CASE == KEEPS_GRADIENT || CASE == ONE_RATE, adamw),
    .relu = WHEN(CASE == NO_MASKS, faulty_relu),
    .relu_backward = WHEN(CASE == FIRST_UNITS, faulty_relu_backward),
    .choose = WHEN(CASE >= LAST_OF_EQUALS && CASE <= OTHER_DRAWS, faulty_choose),
    .choose_backward = WHEN(CASE == NO_MEAN, faulty_choose_backward),
    .row_products = WHEN(CASE == ONE_ROW, faulty_row_products),
    .row_products_backward = WHEN(CASE == SWAPS || CASE == FROM_THE_END,
                                  faulty_row_products_backward),
    .unit_inputs = WHEN(UNITS, faulty_unit_inputs),
    .unit_outputs = WHEN(UNITS, faulty_unit_outputs),
    .unit_gradients = WHEN(UNITS, faulty_unit_gradients),
    .capture_begin = GRAPHS(faulty_capture_begin),
    .capture_end = GRAPHS(faulty_capture_end),
    .replay = GRAPHS(faulty_replay),
    .free_graph = GRAPHS(faulty_free_graph),
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
