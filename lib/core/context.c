/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a context: what its options mean, its references, its log and progress callbacks.
 * The backend is opened and closed by the floor above.
 */
#include "context.h"

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../base/text.h"

#define MOST_THREADS 256
#define LOG_LINE     1024

#define MEMORY_MINIMUM SGTI_SIZE_THROUGH(sgt_context_memory, allocations)

sgt_status sgt_context_options_init(sgt_context_options *options, size_t size)
{
    const sgt_context_options defaults = {.log_level = SGT_LOG_WARNING};
    return sgti_struct_init(options, size, &defaults, sizeof defaults,
                            SGTI_CONTEXT_OPTIONS_MINIMUM,
                            "sgt_context_options");
}

static sgt_status count_threads(int32_t *threads, int32_t asked)
{
    if (asked < 0 || asked > MOST_THREADS)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "threads is %d, not in 0 .. %d", (int)asked,
                         MOST_THREADS);
    if (asked == 0)
        asked = sgti_processors();
    *threads = asked < MOST_THREADS ? asked : MOST_THREADS;
    return SGT_OK;
}

/* A context lies in memory that it counts itself. So its own allocation is made with counters on
 * the stack, which it takes over once it is there. */
static sgt_status allocate_context(sgt_context **context, const sgt_context_options *options)
{
    sgti_memory first;
    void *made = NULL;
    sgt_status status = sgti_memory_init(&first, options->allocator, options->memory_limit);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&made, &first, 1, sizeof(sgt_context), "a context");
    if (status)
        goto done;
    sgt_context *created = made;
    status = sgti_memory_init(&created->memory, options->allocator, options->memory_limit);
    if (status) {
        sgti_release(&first, created, sizeof *created);
        goto done;
    }
    created->memory.current = first.current;
    created->memory.peak = first.peak;
    created->memory.allocations = first.allocations;
    atomic_init(&created->references, 1);
    *context = created;
done:
    sgti_memory_destroy(&first);
    return status;
}

static void release_context(sgt_context *context)
{
    sgt_allocator allocator = context->memory.allocator;
    sgti_memory_destroy(&context->memory);
    allocator.release(allocator.user, context, sizeof *context);
}

sgt_status sgti_context_new(sgt_context **context, const sgt_context_options *options)
{
    int32_t threads = 1;
    sgt_context *created;
    sgt_status status = count_threads(&threads, options->threads);
    if (status)
        return status;
    status = allocate_context(&created, options);
    if (status)
        return status;
    created->log = options->log;
    created->log_user = options->log_user;
    created->log_level = options->log_level;
    created->progress = options->progress;
    created->progress_user = options->progress_user;
    status = sgti_pool_create(&created->pool, &created->memory, threads);
    if (status) {
        sgti_context_unref(created);
        return status;
    }
    *context = created;
    return SGT_OK;
}

sgt_context *sgti_context_ref(sgt_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void sgti_context_unref(sgt_context *context)
{
    if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    if (context->close_dispatch)
        context->close_dispatch(context);
    sgti_pool_free(context->pool);
    release_context(context);
}

void sgt_context_free(sgt_context *context)
{
    if (context)
        sgti_context_unref(context);
}

sgt_status sgt_context_get_memory(sgt_context_memory *memory, const sgt_context *context)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = sgti_struct_check(memory, MEMORY_MINIMUM, "sgt_context_memory");
    if (status)
        return status;
    if (!context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "context is NULL");
    sgti_memory_report(memory, &context->memory);
    return SGT_OK;
}

void sgti_log(const sgt_context *context, int32_t level, const char *format, ...)
{
    if (!context->log || level > context->log_level)
        return;
    char line[LOG_LINE] = "";
    va_list arguments;
    va_start(arguments, format);
    sgti_vformat(line, sizeof line, format, arguments);
    va_end(arguments);
    context->log(context->log_user, level, line);
    sgti_floats_renew();
}

sgt_status sgti_progress(const sgt_context *context, int32_t phase, int64_t done, int64_t total)
{
    if (!context->progress)
        return SGT_OK;
    int64_t unit = 1 + total / INT32_MAX; /* above 1 only where a total needs more than 32 bits */
    const sgt_progress progress = {.size = sizeof progress,
                                   .phase = phase,
                                   .done = (int32_t)(done / unit),
                                   .total = (int32_t)(total / unit)};
    int32_t answer = context->progress(context->progress_user, &progress);
    sgti_floats_renew();
    if (answer)
        return sgti_fail(answer, "stopped by the progress callback (%d) after %lld of %lld %s",
                         (int)answer, (long long)done, (long long)total,
                         phase == SGT_PHASE_LOAD || phase == SGT_PHASE_SAVE ? "tensors" : "layers");
    return SGT_OK;
}
