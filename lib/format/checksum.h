/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums of bytes: XXH3 with 64 bits and seed 0. One object makes any number of them, one after
 * the other. */
#ifndef SGTI_CHECKSUM_H
#define SGTI_CHECKSUM_H

#include <stdint.h>

#include <sgt/status.h>

typedef struct sgti_checksum sgti_checksum;

/* 1 when this build knows checksums. */
int sgti_checksums_exist(void);

/* Errors: SGT_E_OUT_OF_MEMORY, SGT_E_UNSUPPORTED (a build without checksums). */
sgt_status sgti_checksum_create(sgti_checksum **checksum);
void sgti_checksum_free(sgti_checksum *checksum);

/* The first begins a checksum, the second adds bytes to it, the third gives its value so far. */
void sgti_checksum_start(sgti_checksum *checksum);
void sgti_checksum_add(sgti_checksum *checksum, const void *data, uint64_t bytes);
uint64_t sgti_checksum_value(const sgti_checksum *checksum);

#endif
