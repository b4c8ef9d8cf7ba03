/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chooses the kernels that BLIS runs, and makes it take its memory early.
 *
 * BLIS knows the processors of its own time and takes its slowest kernels on any newer one. So the
 * choice is made here, from the instruction set, where the version of BLIS at hand allows it.
 */
#include "blis_private.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#if !defined(BLIS_FAMILY_X86_64)

/* 1 when this BLIS was built with kernels of that number. Its header tells by macros without a
 * value, which only #ifdef can ask for. */
static int has_kernels(long id)
{
    static const long built[] = {
        -1, /* BLIS chooses */
#ifdef BLIS_CONFIG_ARMSVE
        BLIS_ARCH_ARMSVE,
#endif
#ifdef BLIS_CONFIG_A64FX
        BLIS_ARCH_A64FX,
#endif
#ifdef BLIS_CONFIG_FIRESTORM
        BLIS_ARCH_FIRESTORM,
#endif
#ifdef BLIS_CONFIG_THUNDERX2
        BLIS_ARCH_THUNDERX2,
#endif
#ifdef BLIS_CONFIG_CORTEXA57
        BLIS_ARCH_CORTEXA57,
#endif
#ifdef BLIS_CONFIG_CORTEXA53
        BLIS_ARCH_CORTEXA53,
#endif
#ifdef BLIS_CONFIG_POWER10
        BLIS_ARCH_POWER10,
#endif
#ifdef BLIS_CONFIG_POWER9
        BLIS_ARCH_POWER9,
#endif
#ifdef BLIS_CONFIG_GENERIC
        BLIS_ARCH_GENERIC,
#endif
    };
    for (size_t i = 0; i < sizeof built / sizeof built[0]; i++)
        if (built[i] == id)
            return 1;
    return 0;
}

#endif

/* BLIS reads this variable when it starts, and ends the process if it has no kernels of that
 * number; so the variable is looked at here before BLIS starts. */
static int arch_variable_is_usable(void)
{
    const char *value = getenv("BLIS_ARCH_TYPE");
    if (value == NULL)
        return 1;
    long id = strtol(value, NULL, 10);
#if defined(BLIS_FAMILY_X86_64)
    return (id >= -1 && id <= BLIS_ARCH_BULLDOZER && id != BLIS_ARCH_KNC) ||
           id == BLIS_ARCH_GENERIC;
#else
    return has_kernels(id);
#endif
}

#ifdef SGTI_BLIS_LOOKUP
#if defined(__x86_64__) || defined(__i386__)

/* The family number of an AMD processor, 0 for another maker's. */
static unsigned amd_family(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return 0;
    int amd = b == 0x68747541 && d == 0x69746e65 && c == 0x444d4163;   /* AuthenticAMD */
    int hygon = b == 0x6f677948 && d == 0x6e65476e && c == 0x656e6975; /* HygonGenuine */
    if ((!amd && !hygon) || !__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    return (a >> 8 & 0xf) + (a >> 20 & 0xff);
}

#endif

/* The best kernels that this BLIS was built with and the instruction set allows; -1: BLIS
 * chooses. */
static int choose_arch(const char *isa)
{
    (void)isa;
#if defined(__x86_64__) || defined(__i386__)
#ifdef BLIS_CONFIG_SKX
    if (strcmp(isa, "avx512") == 0)
        return BLIS_ARCH_SKX;
#endif
    if (strcmp(isa, "avx512") == 0 || strcmp(isa, "avx2") == 0) {
#ifdef BLIS_CONFIG_ZEN3
        if (amd_family() >= 0x19)
            return BLIS_ARCH_ZEN3;
#endif
#ifdef BLIS_CONFIG_ZEN
        if (amd_family() >= 0x17)
            return BLIS_ARCH_ZEN;
#endif
#ifdef BLIS_CONFIG_HASWELL
        return BLIS_ARCH_HASWELL;
#endif
    }
#ifdef BLIS_CONFIG_PENRYN
    return BLIS_ARCH_PENRYN;
#endif
#endif
    return -1;
}

#endif

/* BLIS ends the process when it gets no memory. So as much as it is about to take is allocated here
 * and freed again: if this fails, it is an error that can be returned. */
static int32_t probe(const sgti_blis *blis, size_t bytes)
{
    char *memory = malloc(bytes);
    if (memory == NULL)
        return blis->services->fail(blis->host, SGT_E_OUT_OF_MEMORY, "no memory for BLIS");
    *(volatile char *)memory = 0; /* else a compiler may leave out malloc and free */
    free(memory);
    return 0;
}

int32_t sgti_blis_choose(sgti_blis *blis, const char *isa)
{
    static const size_t tables = 1u << 20;
    if (!arch_variable_is_usable())
        return blis->services->fail(blis->host, SGT_E_BACKEND,
                                    "BLIS_ARCH_TYPE in the environment names kernels that this "
                                    "BLIS does not have");
    if (!sgti_blis_is_usable())
        return blis->services->fail(blis->host, SGT_E_BACKEND,
                                    "this process was forked while another thread was inside BLIS: "
                                    "ask for the backend portable");
    int32_t status = probe(blis, tables);
    if (status != 0)
        return status;
    sgti_blis_enter();
    bli_init();
    int arch = -1;
#ifdef SGTI_BLIS_LOOKUP
    arch = choose_arch(isa != NULL ? isa : "baseline");
    if (arch >= 0)
        blis->context = (cntx_t *)SGTI_BLIS_LOOKUP((arch_t)arch);
#else
    (void)isa;
#endif
    /* The kernels are either those chosen here or those that BLIS chose itself. */
    int chosen = arch >= 0;
    if (!chosen) {
        arch = (int)bli_arch_query_id();
        blis->context = (cntx_t *)bli_gks_query_cntx();
    }
    sgti_blis_leave();
    blis->generic = arch == BLIS_ARCH_GENERIC;
    snprintf(blis->kernels, sizeof blis->kernels, "blis %s %s%s", bli_info_get_version_str(),
             bli_arch_string((arch_t)arch), chosen ? "" : " (its own choice)");
    return 0;
}

/*
 * ---- memory ----
 *
 * BLIS packs blocks of A and B into memory that it keeps for later products, one set of blocks per
 * product that runs at the same time. So a product on every thread at once makes it allocate all
 * that later ones will take. The extents are chosen so that the packed blocks get their full size.
 */

#define RESERVE_SMALL 32 /* a dimension that does not matter */

typedef struct reservation {
    cntx_t *context;
    int64_t m;
    int64_t n;
    int64_t k;
    /* 1: C is stored by columns. For one of the two ways BLIS computes the transposed product, in
     * which A and B change places; so both are run. */
    int by_columns;
    float *operands; /* A, B, and one C per part */
    int32_t parts;
    atomic_int inside;
    atomic_int late;
} reservation;

/* The bytes of a packed block of A (size BLIS_MC) or B (BLIS_NC) for a data type. */
static int64_t block_bytes(const cntx_t *context, num_t type, int size)
{
    cntx_t *c = (cntx_t *)context;
    return (int64_t)bli_cntx_get_blksz_max_dt(type, size, c) *
           (int64_t)bli_cntx_get_blksz_max_dt(type, BLIS_KC, c) * (int64_t)bli_dt_size(type);
}

/* The bytes that BLIS gives a block at first: the most that its own choice of kernels needs for any
 * data type. */
static int64_t first_block_bytes(int size)
{
    const cntx_t *context = bli_gks_query_cntx();
    int64_t most = 0;
    for (num_t type = BLIS_DT_LO; type <= BLIS_DT_HI; type++)
        if (block_bytes(context, type, size) > most)
            most = block_bytes(context, type, size);
    return most;
}

/* How large a product must be in one dimension: small if the blocks that BLIS makes at first are
 * large enough for the chosen kernels; else as large as a whole block, so that it makes them
 * larger. */
static int64_t reserve_extent(const cntx_t *context, int size)
{
    if (first_block_bytes(size) >= block_bytes(context, BLIS_FLOAT, size))
        return RESERVE_SMALL;
    return (int64_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, size, (cntx_t *)context);
}

/*
 * BLIS makes one set of blocks per product that runs at the same time. So each part waits here
 * until all of them are inside their product. If a thread of the pool does not come within 300 ms,
 * nobody waits for it again: its blocks are made later, when they are needed.
 */
static void wait_for_all(reservation *job)
{
    struct timespec start, now;
    atomic_fetch_add(&job->inside, 1);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (atomic_load(&job->inside) < job->parts && !atomic_load(&job->late)) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 > 300)
            atomic_store(&job->late, 1);
    }
}

#ifdef SGTI_BLIS_HOOK

/* Takes the place of BLIS's inner loops, which run when A and B are packed, so that all parts meet
 * while they hold their blocks. BLIS passes more arguments than these; which ones depends on its
 * version. */
static void meet(const obj_t *a, const obj_t *b, const obj_t *c)
{
    (void)a;
    (void)b;
    wait_for_all(bli_obj_ker_params((obj_t *)c));
}

#endif

static void reserve_part(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    reservation *job = argument;
    float *a_data = job->operands, *b_data = a_data + job->m * job->k;
    float *c_data = b_data + job->k * job->n + part * job->m * job->n;
    obj_t a, b, c;
    bli_obj_create_with_attached_buffer(BLIS_FLOAT, job->m, job->k, a_data, job->k, 1, &a);
    bli_obj_create_with_attached_buffer(BLIS_FLOAT, job->k, job->n, b_data, job->n, 1, &b);
    bli_obj_create_with_attached_buffer(BLIS_FLOAT, job->m, job->n, c_data,
                                        job->by_columns ? 1 : job->n,
                                        job->by_columns ? job->m : 1, &c);
    rntm_t runtime = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(1, &runtime);
    bli_rntm_disable_l3_sup(&runtime); /* else BLIS would not pack a product this small */
#ifdef SGTI_BLIS_HOOK
    bli_obj_set_ker_fn((obj_ker_fn_t)(void (*)(void))meet, &c);
    bli_obj_set_ker_params(job, &c);
#else
    wait_for_all(job);
#endif
    sgti_blis_enter();
    bli_gemm_ex(&BLIS_ONE, &a, &b, &BLIS_ZERO, &c, job->context, &runtime);
    sgti_blis_leave();
}

static int32_t reserve(const sgti_blis *blis, int64_t m, int64_t n, int by_columns)
{
    reservation job = {.context = blis->context,
                       .m = m,
                       .n = n,
                       .by_columns = by_columns,
                       .parts = blis->threads};
    job.k = (int64_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_KC, blis->context);
    size_t count = (size_t)(m * job.k + job.k * n + blis->threads * m * n);
    job.operands = calloc(count, sizeof *job.operands);
    if (job.operands == NULL)
        return blis->services->fail(blis->host, SGT_E_OUT_OF_MEMORY, "no memory for BLIS");
    blis->services->parallel_for(blis->host, job.parts, reserve_part, &job);
    free(job.operands);
    return 0;
}

int32_t sgti_blis_reserve(const sgti_blis *blis)
{
    static const int sizes[] = {BLIS_MC, BLIS_NC};
    static const size_t small_blocks = 1u << 20; /* covers BLIS's control structures of a thread */
    size_t bytes = small_blocks;
    for (int i = 0; i < 2; i++)
        bytes += (size_t)(first_block_bytes(sizes[i]) +
                          block_bytes(blis->context, BLIS_FLOAT, sizes[i]));
    int32_t status = probe(blis, (size_t)blis->threads * bytes);
    if (status != 0)
        return status;
    int64_t m = reserve_extent(blis->context, BLIS_MC);
    int64_t n = reserve_extent(blis->context, BLIS_NC);
    for (int by_columns = 0; by_columns < 2 && status == 0; by_columns++) {
        status = reserve(blis, m, RESERVE_SMALL, by_columns);
        if (status == 0 && n > RESERVE_SMALL)
            status = reserve(blis, RESERVE_SMALL, n, by_columns);
    }
    return status;
}
