/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting an operation into parts for threads, by shape only. Work worth less than a part runs on
 * the caller without waking anyone; then nothing of the thread's scratch may be used, because
 * several callers may be at it at once.
 */
#ifndef SGTI_PARTS_H
#define SGTI_PARTS_H

#include "../../base/integers.h"
#include "portable.h"

/* Elements that one part touches, about: large against the cost of handing it out. */
#define SGTI_PART_ELEMENTS 16384

/* Rows of a part when a row has `columns` elements. */
static inline int64_t sgti_rows_per_part(int64_t columns)
{
    return columns >= SGTI_PART_ELEMENTS ? 1 : SGTI_PART_ELEMENTS / columns;
}

/* One past the last of `count` rows that belongs to the part. */
static inline int64_t sgti_part_end(int64_t part, int64_t per_part, int64_t count)
{
    return count - part * per_part < per_part ? count : (part + 1) * per_part;
}

/* Runs parts 0..parts-1; a single one on the caller, as thread 0. */
static inline void sgti_run_parts(const sgti_portable *portable, int64_t parts, sgt_part_fn part,
                                  void *argument)
{
    if (parts == 1)
        part(argument, 0, 0);
    else if (parts > 1)
        portable->services->parallel_for(portable->host, parts, part, argument);
}

#endif
