/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums of bytes: XXH3 with 64 bits and seed 0. One object serves any number of runs. */
#ifndef SGTI_CHECKSUM_H
#define SGTI_CHECKSUM_H

#include <stdint.h>

#include <sgt/status.h>

typedef struct sgti_checksum sgti_checksum;

/* 1 when this build knows checksums. */
int sgti_checksums_exist(void);

/* Errors: SGT_E_OUT_OF_MEMORY, SGT_E_UNSUPPORTED (a build without them). */
sgt_status sgti_checksum_create(sgti_checksum **checksum);
void sgti_checksum_free(sgti_checksum *checksum);

/* Begins a run, adds bytes to it, gives its checksum so far. */
void sgti_checksum_start(sgti_checksum *checksum);
void sgti_checksum_add(sgti_checksum *checksum, const void *data, uint64_t bytes);
uint64_t sgti_checksum_value(const sgti_checksum *checksum);

#endif
