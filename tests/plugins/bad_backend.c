/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plug-ins with one thing wrong each, chosen by CASE at compile time; and two that are unusual but
 * right: the table of an older header and the table of a newer one.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <sgt/sys/backend.h>

#define NO_ENTRY        1
#define REFUSES         2
#define OLD_ABI         3
#define SHORT_TABLE     4
#define MISSING_SLOT    5
#define MISSING_STANDIN 6
#define NO_NAME         7
#define BAD_NAME        8
#define CLASH           9
#define FAILING_OPEN    10
#define SILENT_OPEN     11
#define OLD_TABLE       12
#define NEW_TABLE       13
#define NEW_ABI         14
#define TINY_TABLE      15
#define EMPTY_NAME      16
#define LONG_NAME       17
#define NO_MEMORY       18
#define MUTE_MEMORY     19
#define ABI_1           20
#define HALF_MEMORY     21
#define HALF_GRAPHS     22
#define LENT_GRAPHS     23
#define LENT_MEMORY     24 /* right: it leaves memory to the portable backend */
#define DECLINES        25 /* right: scale declines, on memory that others reach */
#define DECLINES_ALONE  26 /* right: on memory that they do not */
#define FEW_LOGITS      28 /* right: it likes few logits at a time */
#define OPTIONS         27 /* right: it wants the options "size=3" */

#ifndef CASE
#error "CASE says what is wrong"
#endif

#if CASE != NO_ENTRY

#define STRING(x) #x
#define NAME(x)   "case-" STRING(x)

/* A table of a later version: this one's and a slot that this library does not know. */
static struct {
    sgt_backend known;
    int32_t (*unknown)(void *instance);
} table;

#if CASE == FAILING_OPEN
static int32_t failing_open(void **instance, const sgt_backend_open_args *args)
{
    (void)instance;
    return args->services->fail(args->host, SGT_E_UNSUPPORTED, "no such device");
}
#elif CASE == SILENT_OPEN
static int32_t silent_open(void **instance, const sgt_backend_open_args *args)
{
    (void)instance;
    (void)args;
    return SGT_E_BACKEND;
}
#endif

#if CASE == NO_MEMORY || CASE == MUTE_MEMORY
static const sgt_backend_host *library;

/* An instance that remembers who can take its message. */
static void *host_of_open;

static int32_t open_and_remember(void **instance, const sgt_backend_open_args *args)
{
    host_of_open = args->host;
    return library->portable->open(instance, args);
}

static int32_t failing_allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    (void)instance;
    (void)buffer;
    (void)bytes;
    if (CASE == MUTE_MEMORY)
        return SGT_E_OUT_OF_MEMORY;
    return library->fail(host_of_open, SGT_E_OUT_OF_MEMORY, "the device is full");
}
#endif

#if CASE == DECLINES || CASE == DECLINES_ALONE
static int32_t declining_scale(void *instance, const sgt_elementwise_args *args)
{
    (void)instance;
    (void)args;
    return SGT_E_UNSUPPORTED;
}
#elif CASE == HALF_GRAPHS || CASE == LENT_GRAPHS
static int32_t replay(void *instance, sgt_graph *graph)
{
    (void)instance;
    (void)graph;
    return SGT_OK;
}
#elif CASE == FEW_LOGITS
static int32_t describe_few_logits(void *instance, sgt_backend_description *description)
{
    (void)instance;
    description->kernels = "few logits";
    description->logits_bytes = 1;
    return SGT_OK;
}
#elif CASE == OPTIONS
static const sgt_backend_host *library;

static int32_t open_with_options(void **instance, const sgt_backend_open_args *args)
{
    sgt_backend_open_args own = *args;
    if (strcmp(args->options, "size=3") != 0)
        return library->fail(args->host, SGT_E_INVALID_ARGUMENT, "the only option is size=3");
    own.options = "";
    return library->portable->open(instance, &own);
}
#endif

#if CASE == LENT_GRAPHS
static int32_t capture_begin(void *instance)
{
    (void)instance;
    return SGT_OK;
}

static int32_t capture_end(void *instance, sgt_graph **graph)
{
    (void)instance;
    *graph = NULL;
    return SGT_OK;
}

static void free_graph(void *instance, sgt_graph *graph)
{
    (void)instance;
    (void)graph;
}
#endif

/* Changes the portable table `b` into the case's. */
static void spoil(sgt_backend *b)
{
    b->size = sizeof *b;
    b->name = NAME(CASE);
#if CASE == OLD_ABI
    b->abi = 0;
#elif CASE == SHORT_TABLE
    b->size = offsetof(sgt_backend, fill); /* ends before its required slot gemm */
#elif CASE == MISSING_SLOT
    b->gemm = NULL;
#elif CASE == MISSING_STANDIN
    b->host_pointer = NULL;
    b->rope = NULL;
#elif CASE == NO_NAME
    b->name = NULL;
#elif CASE == BAD_NAME
    b->name = "Not a name";
#elif CASE == CLASH
    b->name = "portable";
#elif CASE == FAILING_OPEN
    b->open = failing_open;
#elif CASE == SILENT_OPEN
    b->open = silent_open;
#elif CASE == OLD_TABLE
    b->size = offsetof(sgt_backend, embedding); /* of a time without optional slots */
#elif CASE == NEW_TABLE
    b->size = sizeof table;
#elif CASE == NEW_ABI
    b->abi = SGT_BACKEND_ABI + 1;
#elif CASE == TINY_TABLE
    b->size = offsetof(sgt_backend, name); /* ends before its name */
#elif CASE == EMPTY_NAME
    b->name = "";
#elif CASE == LONG_NAME
    b->name = "a-name-that-goes-on-and-on-until-it-has-more-than-sixty-four-of-them";
#elif CASE == NO_MEMORY || CASE == MUTE_MEMORY
    b->open = open_and_remember;
    b->allocate = failing_allocate;
#elif CASE == ABI_1
    b->abi = 1;
#elif CASE == HALF_MEMORY
    b->write = NULL;
#elif CASE == HALF_GRAPHS
    b->replay = replay;
#elif CASE == LENT_GRAPHS || CASE == LENT_MEMORY
    b->allocate = NULL;
    b->free = NULL;
    b->host_pointer = NULL;
    b->read = NULL;
    b->write = NULL;
    b->copy = NULL;
    b->fill = NULL;
    b->sync = NULL;
#elif CASE == DECLINES
    b->scale = declining_scale;
#elif CASE == DECLINES_ALONE
    b->scale = declining_scale;
    b->host_pointer = NULL;
#elif CASE == OPTIONS
    b->open = open_with_options;
#elif CASE == FEW_LOGITS
    b->describe = describe_few_logits;
#endif
#if CASE == LENT_GRAPHS
    b->capture_begin = capture_begin;
    b->capture_end = capture_end;
    b->replay = replay;
    b->free_graph = free_graph;
#endif
}

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)host_abi;
#if CASE == NO_MEMORY || CASE == MUTE_MEMORY || CASE == OPTIONS
    library = services;
#endif
    memset(&table, 0xff, sizeof table); /* what lies behind a short table is not zero */
    memcpy(&table.known, services->portable, sizeof table.known);
#if CASE == OLD_TABLE
    memset((char *)&table.known + offsetof(sgt_backend, embedding), 0xff,
           sizeof table.known - offsetof(sgt_backend, embedding));
#endif
    spoil(&table.known);
    return CASE == REFUSES ? NULL : &table.known;
}

#endif
