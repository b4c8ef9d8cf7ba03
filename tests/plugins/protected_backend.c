/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backend that catches whoever touches tensor memory outside an operation. A buffer is a handle;
 * its memory cannot be read or written but while an operation on it runs, ends at a page that
 * never can, and starts as NaN. Tensors that do not lie in their buffers are refused. The work is
 * done by the portable backend, so results are the same, bit for bit.
 *
 *     page | ............ data | page that stays closed
 *                         ^ rounded up to 64 bytes
 */
#include <sgt/sys/backend.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT    64u
#define MOST_TENSORS 9

typedef struct backend {
    const sgt_backend_host *services;
    void *host;
    void *portable; /* instance of services->portable */
    size_t page;
} backend;

struct sgt_buffer {
    pthread_mutex_t lock;
    int32_t users; /* operations that run on it now */
    uint64_t bytes; /* as asked for */
    char *data;
    char *pages; /* the first page, and how many bytes open and close */
    size_t open_bytes;
    void *allocation;
    size_t allocated;
};

static int32_t fail(const backend *self, const char *what)
{
    char message[160];
    snprintf(message, sizeof message, "protected backend: %s", what);
    return self->services->fail(self->host, SGT_E_BACKEND, message);
}

/* ---- buffers ---- */

static int enter(sgt_buffer *buffer)
{
    pthread_mutex_lock(&buffer->lock);
    int failed = buffer->users == 0 &&
                 mprotect(buffer->pages, buffer->open_bytes, PROT_READ | PROT_WRITE) != 0;
    buffer->users += !failed;
    pthread_mutex_unlock(&buffer->lock);
    return failed;
}

static int leave(sgt_buffer *buffer)
{
    pthread_mutex_lock(&buffer->lock);
    buffer->users--;
    int failed =
        buffer->users == 0 && mprotect(buffer->pages, buffer->open_bytes, PROT_NONE) != 0;
    pthread_mutex_unlock(&buffer->lock);
    return failed;
}

static size_t rounded_up(uint64_t bytes, size_t unit)
{
    return (size_t)((bytes + unit - 1) / unit * unit);
}

/* Lays the pages of a buffer out in its allocation, fills them with NaN and closes them. */
static int close_pages(const backend *self, sgt_buffer *buffer)
{
    size_t page = self->page;
    char *first = buffer->allocation;
    first += rounded_up((uintptr_t)first, page) - (uintptr_t)first;
    buffer->pages = first;
    buffer->open_bytes = rounded_up(buffer->bytes, page);
    buffer->data = first + buffer->open_bytes - rounded_up(buffer->bytes, ALIGNMENT);
    memset(first, 0xff, buffer->open_bytes);
    return mprotect(first, buffer->open_bytes + page, PROT_NONE) != 0;
}

static void release(const backend *self, sgt_buffer *buffer)
{
    const sgt_backend_host *services = self->services;
    if (buffer->pages)
        mprotect(buffer->pages, buffer->open_bytes + self->page, PROT_READ | PROT_WRITE);
    if (buffer->allocation)
        services->release(self->host, buffer->allocation, buffer->allocated);
    pthread_mutex_destroy(&buffer->lock);
    services->release(self->host, buffer, sizeof *buffer);
}

static int32_t allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const backend *self = instance;
    const sgt_backend_host *services = self->services;
    size_t alignment = self->page < 4096 ? self->page : 4096;
    if (bytes > PTRDIFF_MAX / 2)
        return services->fail(self->host, SGT_E_OVERFLOW, "protected backend: a buffer too large");
    sgt_buffer *made = services->allocate(self->host, 16, sizeof *made);
    if (!made)
        return SGT_E_OUT_OF_MEMORY;
    *made = (sgt_buffer){.bytes = bytes};
    pthread_mutex_init(&made->lock, NULL);
    made->allocated = rounded_up(bytes, self->page) + 2 * self->page - alignment;
    made->allocation = services->allocate(self->host, alignment, made->allocated);
    if (!made->allocation) {
        release(self, made);
        return SGT_E_OUT_OF_MEMORY;
    }
    if (close_pages(self, made)) {
        release(self, made);
        return fail(self, "mprotect failed");
    }
    *buffer = made;
    return SGT_OK;
}

static void free_buffer(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    (void)bytes;
    release(instance, buffer);
}

/* ---- opening the buffers of one operation ---- */

typedef struct operation {
    const backend *self;
    const sgt_backend *portable;
    int32_t count;
    int32_t status;
    sgt_buffer *buffers[MOST_TENSORS];
    sgt_tensor tensors[MOST_TENSORS]; /* with addresses for buffers */
} operation;

static uint64_t element_bytes(int32_t dtype)
{
    return dtype == SGT_F64 ? 8 : dtype == SGT_BF16 || dtype == SGT_F16 ? 2 : 4;
}

/* What is wrong with a tensor; NULL: nothing. */
static const char *wrong(const sgt_tensor *tensor)
{
    if (tensor->size != sizeof *tensor || tensor->rank < 1 || tensor->rank > SGT_MAX_RANK)
        return "a tensor has a wrong size or rank";
    if (!tensor->buffer)
        return "a tensor has no buffer";
    uint64_t last = tensor->offset;
    for (int32_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 1 || tensor->strides[i] < 0)
            return "a tensor has an empty dimension or a negative stride";
        last += (uint64_t)(tensor->shape[i] - 1) * (uint64_t)tensor->strides[i];
    }
    if ((last + 1) * element_bytes(tensor->dtype) > tensor->buffer->bytes)
        return "a tensor reaches past its buffer";
    return NULL;
}

/* The tensor as the portable backend sees it; its memory is open from now on. */
static const sgt_tensor *opened(operation *op, const sgt_tensor *tensor)
{
    if (!tensor || op->status)
        return NULL;
    const char *reason = wrong(tensor);
    if (!reason && enter(tensor->buffer))
        reason = "mprotect failed";
    if (reason) {
        op->status = fail(op->self, reason);
        return NULL;
    }
    sgt_tensor *own = &op->tensors[op->count];
    *own = *tensor;
    own->buffer = (sgt_buffer *)(void *)tensor->buffer->data;
    op->buffers[op->count++] = tensor->buffer;
    return own;
}

static operation start(void *instance, uint32_t size, size_t expected)
{
    const backend *self = instance;
    operation op = {.self = self, .portable = self->services->portable};
    if (size != expected)
        op.status = fail(self, "an argument struct has a wrong size");
    return op;
}

static int32_t finish(operation *op)
{
    for (int32_t i = 0; i < op->count; i++)
        if (leave(op->buffers[i]) && !op->status)
            op->status = fail(op->self, "mprotect failed");
    return op->status;
}

/* ---- transfers ---- */

static int32_t read_tensor(void *instance, void *data, const sgt_tensor *tensor)
{
    operation op = start(instance, tensor->size, sizeof *tensor);
    const sgt_tensor *own = opened(&op, tensor);
    if (!op.status)
        op.status = op.portable->read(op.self->portable, data, own);
    return finish(&op);
}

static int32_t write_tensor(void *instance, const sgt_tensor *tensor, const void *data)
{
    operation op = start(instance, tensor->size, sizeof *tensor);
    const sgt_tensor *own = opened(&op, tensor);
    if (!op.status)
        op.status = op.portable->write(op.self->portable, own, data);
    return finish(&op);
}

static int32_t fill(void *instance, const sgt_tensor *tensor, double value)
{
    operation op = start(instance, tensor->size, sizeof *tensor);
    const sgt_tensor *own = opened(&op, tensor);
    if (!op.status)
        op.status = op.portable->fill(op.self->portable, own, value);
    return finish(&op);
}

static int32_t synchronise(void *instance)
{
    const backend *self = instance;
    return self->services->portable->sync(self->portable);
}

/* ---- operations ---- */

static int32_t gemm(void *instance, const sgt_gemm_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_gemm_args own = *args;
    own.a = opened(&op, args->a);
    own.b = opened(&op, args->b);
    own.c = opened(&op, args->c);
    own.d = opened(&op, args->d);
    if (!op.status)
        op.status = op.portable->gemm(op.self->portable, &own);
    return finish(&op);
}

static int32_t embedding(void *instance, const sgt_embedding_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_embedding_args own = *args;
    own.table = opened(&op, args->table);
    own.ids = opened(&op, args->ids);
    own.out = opened(&op, args->out);
    if (!op.status)
        op.status = op.portable->embedding(op.self->portable, &own);
    return finish(&op);
}

static int32_t embedding_backward(void *instance, const sgt_embedding_backward_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_embedding_backward_args own = *args;
    own.dtable = opened(&op, args->dtable);
    own.ids = opened(&op, args->ids);
    own.dout = opened(&op, args->dout);
    if (!op.status)
        op.status = op.portable->embedding_backward(op.self->portable, &own);
    return finish(&op);
}

static int32_t rmsnorm(void *instance, const sgt_rmsnorm_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_rmsnorm_args own = *args;
    own.x = opened(&op, args->x);
    own.weight = opened(&op, args->weight);
    own.y = opened(&op, args->y);
    if (!op.status)
        op.status = op.portable->rmsnorm(op.self->portable, &own);
    return finish(&op);
}

static int32_t rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_rmsnorm_backward_args own = *args;
    own.x = opened(&op, args->x);
    own.weight = opened(&op, args->weight);
    own.dy = opened(&op, args->dy);
    own.dx = opened(&op, args->dx);
    own.dweight = opened(&op, args->dweight);
    own.scratch = opened(&op, args->scratch);
    if (!op.status)
        op.status = op.portable->rmsnorm_backward(op.self->portable, &own);
    return finish(&op);
}

static int32_t rope(void *instance, const sgt_rope_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_rope_args own = *args;
    own.x = opened(&op, args->x);
    own.cosine = opened(&op, args->cosine);
    own.sine = opened(&op, args->sine);
    if (!op.status)
        op.status = op.portable->rope(op.self->portable, &own);
    return finish(&op);
}

static int32_t attention(void *instance, const sgt_attention_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_attention_args own = *args;
    own.q = opened(&op, args->q);
    own.k = opened(&op, args->k);
    own.v = opened(&op, args->v);
    own.out = opened(&op, args->out);
    own.lse = opened(&op, args->lse);
    own.entropy_last = opened(&op, args->entropy_last);
    own.entropy_mean = opened(&op, args->entropy_mean);
    if (!op.status)
        op.status = op.portable->attention(op.self->portable, &own);
    return finish(&op);
}

static int32_t attention_backward(void *instance, const sgt_attention_backward_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_attention_backward_args own = *args;
    own.q = opened(&op, args->q);
    own.k = opened(&op, args->k);
    own.v = opened(&op, args->v);
    own.out = opened(&op, args->out);
    own.lse = opened(&op, args->lse);
    own.dout = opened(&op, args->dout);
    own.dq = opened(&op, args->dq);
    own.dk = opened(&op, args->dk);
    own.dv = opened(&op, args->dv);
    if (!op.status)
        op.status = op.portable->attention_backward(op.self->portable, &own);
    return finish(&op);
}

static int32_t swiglu(void *instance, const sgt_swiglu_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_swiglu_args own = *args;
    own.gate = opened(&op, args->gate);
    own.up = opened(&op, args->up);
    own.out = opened(&op, args->out);
    if (!op.status)
        op.status = op.portable->swiglu(op.self->portable, &own);
    return finish(&op);
}

static int32_t swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_swiglu_backward_args own = *args;
    own.gate = opened(&op, args->gate);
    own.up = opened(&op, args->up);
    own.dout = opened(&op, args->dout);
    own.dgate = opened(&op, args->dgate);
    own.dup = opened(&op, args->dup);
    own.out = opened(&op, args->out);
    if (!op.status)
        op.status = op.portable->swiglu_backward(op.self->portable, &own);
    return finish(&op);
}

static int32_t cross_entropy(void *instance, const sgt_cross_entropy_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_cross_entropy_args own = *args;
    own.logits = opened(&op, args->logits);
    own.targets = opened(&op, args->targets);
    own.losses = opened(&op, args->losses);
    own.dlogits = opened(&op, args->dlogits);
    if (!op.status)
        op.status = op.portable->cross_entropy(op.self->portable, &own);
    return finish(&op);
}

static int32_t norm(void *instance, const sgt_norm_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_norm_args own = *args;
    own.x = opened(&op, args->x);
    if (!op.status)
        op.status = op.portable->norm(op.self->portable, &own);
    return finish(&op);
}

static int32_t adamw(void *instance, const sgt_adamw_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_adamw_args own = *args;
    own.param = opened(&op, args->param);
    own.grad = opened(&op, args->grad);
    own.moment1 = opened(&op, args->moment1);
    own.moment2 = opened(&op, args->moment2);
    if (!op.status)
        op.status = op.portable->adamw(op.self->portable, &own);
    return finish(&op);
}

typedef int32_t (*elementwise_fn)(void *instance, const sgt_elementwise_args *args);

static int32_t elementwise(void *instance, const sgt_elementwise_args *args, elementwise_fn slot)
{
    operation op = start(instance, args->size, sizeof *args);
    sgt_elementwise_args own = *args;
    own.x = opened(&op, args->x);
    own.y = opened(&op, args->y);
    own.z = opened(&op, args->z);
    if (!op.status)
        op.status = slot(op.self->portable, &own);
    return finish(&op);
}

static int32_t copy(void *instance, const sgt_elementwise_args *args)
{
    return elementwise(instance, args, ((backend *)instance)->services->portable->copy);
}

static int32_t add(void *instance, const sgt_elementwise_args *args)
{
    return elementwise(instance, args, ((backend *)instance)->services->portable->add);
}

static int32_t axpy(void *instance, const sgt_elementwise_args *args)
{
    return elementwise(instance, args, ((backend *)instance)->services->portable->axpy);
}

static int32_t scale(void *instance, const sgt_elementwise_args *args)
{
    return elementwise(instance, args, ((backend *)instance)->services->portable->scale);
}

static int32_t convert(void *instance, const sgt_elementwise_args *args)
{
    return elementwise(instance, args, ((backend *)instance)->services->portable->convert);
}

/* There is nothing to prepare: only looks whether the tensor is one. */
static int32_t prepare_weight(void *instance, const sgt_prepare_weight_args *args)
{
    operation op = start(instance, args->size, sizeof *args);
    opened(&op, args->weight);
    return finish(&op);
}

/* ---- opening and closing ---- */

static int32_t open_backend(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    backend *self = services->allocate(args->host, 16, sizeof *self);
    if (!self)
        return SGT_E_OUT_OF_MEMORY;
    *self = (backend){
        .services = services, .host = args->host, .page = (size_t)sysconf(_SC_PAGESIZE)};
    int32_t status = services->portable->open(&self->portable, args);
    if (status) {
        services->release(args->host, self, sizeof *self);
        return status;
    }
    *instance = self;
    return SGT_OK;
}

static void close_backend(void *instance)
{
    backend *self = instance;
    self->services->portable->close(self->portable);
    self->services->release(self->host, self, sizeof *self);
}

static int32_t describe(void *instance, sgt_backend_description *description)
{
    const backend *self = instance;
    int32_t status = self->services->portable->describe(self->portable, description);
    description->kernels = "protected";
    return status;
}

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = "protected",
    .open = open_backend,
    .close = close_backend,
    .describe = describe,
    .allocate = allocate,
    .free = free_buffer,
    .read = read_tensor,
    .write = write_tensor,
    .copy = copy,
    .fill = fill,
    .sync = synchronise,
    .gemm = gemm,
    .embedding = embedding,
    .embedding_backward = embedding_backward,
    .rmsnorm = rmsnorm,
    .rmsnorm_backward = rmsnorm_backward,
    .rope = rope,
    .attention = attention,
    .attention_backward = attention_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .cross_entropy = cross_entropy,
    .add = add,
    .axpy = axpy,
    .scale = scale,
    .norm = norm,
    .convert = convert,
    .adamw = adamw,
    .prepare_weight = prepare_weight,
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
