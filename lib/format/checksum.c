/* SPDX-License-Identifier: BSD-3-Clause */
/* The XXH3 hash, where the build has it. It knows nothing of files. */
#include "checksum.h"

#include "../base/error.h"

#ifdef SGTI_HAVE_XXHASH
#define XXH_INLINE_ALL
#include <xxhash.h>

struct sgti_checksum {
    XXH3_state_t state;
};

int sgti_checksums_exist(void)
{
    return 1;
}

sgt_status sgti_checksum_create(sgti_checksum **checksum)
{
    sgti_checksum *made = (sgti_checksum *)XXH3_createState();
    if (!made)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "no memory for a checksum");
    *checksum = made;
    return SGT_OK;
}

void sgti_checksum_free(sgti_checksum *checksum)
{
    XXH3_freeState((XXH3_state_t *)checksum);
}

void sgti_checksum_start(sgti_checksum *checksum)
{
    XXH3_64bits_reset(&checksum->state);
}

void sgti_checksum_add(sgti_checksum *checksum, const void *data, uint64_t bytes)
{
    XXH3_64bits_update(&checksum->state, data, (size_t)bytes);
}

uint64_t sgti_checksum_value(const sgti_checksum *checksum)
{
    return XXH3_64bits_digest(&checksum->state);
}

#else

int sgti_checksums_exist(void)
{
    return 0;
}

sgt_status sgti_checksum_create(sgti_checksum **checksum)
{
    (void)checksum;
    return sgti_fail(SGT_E_UNSUPPORTED, "this libsgt was built without checksums (xxhash)");
}

void sgti_checksum_free(sgti_checksum *checksum)
{
    (void)checksum;
}

void sgti_checksum_start(sgti_checksum *checksum)
{
    (void)checksum;
}

void sgti_checksum_add(sgti_checksum *checksum, const void *data, uint64_t bytes)
{
    (void)checksum, (void)data, (void)bytes;
}

uint64_t sgti_checksum_value(const sgti_checksum *checksum)
{
    (void)checksum;
    return 0;
}

#endif
