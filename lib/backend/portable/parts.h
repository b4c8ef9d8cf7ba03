/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cuts an operation into parts for threads, by its shape only. An operation of a single part runs
 * on its caller, without the pool. Such a part must not use the scratch of threads: several callers
 * may be at it at the same time, all of them as thread 0.
 */
#ifndef SGTI_PARTS_H
#define SGTI_PARTS_H

#include "../../base/integers.h"
#include "portable.h"

/* About as many elements as one part touches: so many that handing the part out costs little. */
#define SGTI_PART_ELEMENTS 16384

/* The rows of a part if a row has `columns` elements. */
static inline int64_t sgti_rows_per_part(int64_t columns)
{
    return columns >= SGTI_PART_ELEMENTS ? 1 : SGTI_PART_ELEMENTS / columns;
}

/* One past the last row of a part, where `count` rows are cut into parts of `per_part`. */
static inline int64_t sgti_part_end(int64_t part, int64_t per_part, int64_t count)
{
    return count - part * per_part < per_part ? count : (part + 1) * per_part;
}

/* Runs parts 0 .. parts-1 on all threads; a single one on the caller. */
static inline void sgti_run_parts(const sgti_portable *portable, int64_t parts, sgt_part_fn part,
                                  void *argument)
{
    if (parts == 1)
        part(argument, 0, 0);
    else if (parts > 1)
        portable->services->parallel_for(portable->host, parts, part, argument);
}

#endif
