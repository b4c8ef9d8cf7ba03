/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A context: the tensor backend, the thread pool, the allocator, the log and the memory budget
 * that models share. The library has no global settings; two contexts know nothing of each other.
 *
 * Fork. A child of fork() may go on using its context; its work then runs on the calling thread
 * only, because threads do not survive a fork.
 *
 * Threads. Contexts may be made and freed, and their counters read, in any thread.
 */
#ifndef SGT_CONTEXT_H
#define SGT_CONTEXT_H

#include <sgt/status.h>

SGT_BEGIN_DECLS

/* What models share. Whatever needs a context holds a reference to it, which keeps it alive. */
typedef struct sgt_context sgt_context;

/*
 * Where memory comes from. `allocate` returns `bytes` bytes aligned to `alignment` (a power of
 * two, at most 4096) or NULL; the contents may be anything. `release` gets the same size back.
 * Both get `user`, and may be called from any thread that calls the library, never from two threads
 * at once for the same context.
 */
typedef struct sgt_allocator {
    uint32_t size;
    int32_t reserved; /* 0 */
    void *(*allocate)(void *user, size_t alignment, size_t bytes);
    void (*release)(void *user, void *memory, size_t bytes);
    void *user;
} sgt_allocator;

/* How much a line of the log matters; a level includes those before it. */
enum sgt_log_level {
    SGT_LOG_ERROR = 1,   /* something failed that no status can tell */
    SGT_LOG_WARNING = 2, /* it works, but not as well as it could */
    SGT_LOG_INFO = 3,    /* what was chosen */
    SGT_LOG_DEBUG = 4    /* for whoever works on the library */
};

/* Gets one line without a newline; `message` is valid during the call. */
typedef void (*sgt_log_fn)(void *user, int32_t level, const char *message);

/* The kind of call that a progress callback is called from. */
enum sgt_phase {
    SGT_PHASE_FORWARD = 1,  /* a training forward */
    SGT_PHASE_BACKWARD = 2, /* a backward */
    SGT_PHASE_EVALUATE = 3, /* a forward that keeps nothing */
    SGT_PHASE_DECODE = 4,   /* feeding a session */
    SGT_PHASE_LOAD = 5,     /* reading a checkpoint or a Hugging Face folder; since 0.2 */
    SGT_PHASE_SAVE = 6      /* writing one; since 0.2 */
};

/* How far a call has come. */
typedef struct sgt_progress {
    uint32_t size;
    int32_t phase; /* enum sgt_phase */
    int32_t done;  /* layers finished in this phase; in SGT_PHASE_LOAD and _SAVE: tensors */
    int32_t total; /* layers or tensors in this phase; for a long feed, in all its chunks together.
                      Numbers beyond 32 bits are both scaled down. */
} sgt_progress;

/*
 * Called on the thread that made the call: between layers of sgt_model_forward,
 * sgt_model_forward_logits, sgt_model_backward, sgt_model_backward_logits, sgt_model_evaluate and
 * of all that feeds a session; between tensors of sgt_checkpoint_load, sgt_checkpoint_create,
 * sgt_checkpoint_save, sgt_hf_load and sgt_hf_save. More phases may come. If it returns 0 the call
 * goes on; any other value ends the call, which returns that value. Use positive values, since the
 * library's own codes are negative. The model stays valid (a stopped backward leaves gradients
 * invalid, see sgt_model_backward); a stopped load changes no handle, a stopped save no file. The
 * callback must not call back into the model it is called from.
 */
typedef int32_t (*sgt_progress_fn)(void *user, const sgt_progress *progress);

/* How a context works; each callback gets the pointer that is named after it. */
typedef struct sgt_context_options {
    uint32_t size;
    int32_t threads;                /* threads that work, the caller's included, at most 256; 0: as
                                       many as processors that this process may keep busy */
    const char *backend;            /* registered name; NULL: the faster of those built in:
                                       "portable" with AVX-512 or without BLIS, else "blis" */
    const char *isa;                /* instruction set for kernels: NULL (the best that works here),
                                       "baseline", "avx2" or "avx512" */
    const sgt_allocator *allocator; /* NULL: the C library's */
    uint64_t memory_limit;          /* bytes; 0: none */
    sgt_log_fn log;                 /* NULL: silent */
    void *log_user;                 /* for log */
    int32_t log_level;              /* messages above it are dropped; default SGT_LOG_WARNING */
    int32_t reserved;               /* 0 */
    sgt_progress_fn progress;       /* NULL: none */
    void *progress_user;            /* for progress */
    const char *backend_options;    /* for the backend, in its own words, such as "device=1";
                                       NULL: none; since 0.2 */
} sgt_context_options;

/*
 * Fills *options with the defaults; size is sizeof *options of the caller. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.1.
 */
SGT_API sgt_status sgt_context_options_init(sgt_context_options *options, size_t size);

/*
 * Makes a context; options may be NULL. The strings and structs that options point to are copied.
 * Errors: SGT_E_INVALID_ARGUMENT (threads, isa, backend_options), SGT_E_NOT_FOUND (backend),
 * SGT_E_UNSUPPORTED (this processor lacks the isa), SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT,
 * SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_context_create(sgt_context **context, const sgt_context_options *options);

/* Drops the caller's reference; models keep the context alive. NULL is fine. Since 0.1. */
SGT_API void sgt_context_free(sgt_context *context);

/* The memory counters of a context. When all other handles are freed, `current` is what the context
 * and its backend hold as long as the context lives: the built-in backends have 2 MiB of working
 * memory for each thread. */
typedef struct sgt_context_memory {
    uint32_t size;
    int32_t reserved;     /* 0 */
    uint64_t current;     /* bytes allocated now through the context */
    uint64_t peak;        /* the largest that `current` has been */
    uint64_t limit;       /* the memory_limit of the options; 0: none */
    uint64_t allocations; /* how many were made so far */
} sgt_context_memory;

/* Reads the memory counters. Any thread. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_context_get_memory(sgt_context_memory *memory, const sgt_context *context);

SGT_END_DECLS

#endif
