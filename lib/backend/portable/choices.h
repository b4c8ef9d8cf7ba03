/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of groups of `units` columns, of each of which one is chosen: choice [groups] names it. */
#ifndef SGTI_CHOICES_H
#define SGTI_CHOICES_H

#include <stdint.h>
#include <string.h>

/* So many groups, or columns, of a row are worked on at a time, on the stack. */
enum { SGTI_CHOICES = 256, SGTI_CHOICE_COLUMNS = 1024 };

/* chosen[s] becomes the chosen column of group s. */
static inline void sgti_gather_chosen(float *chosen, const float *row, const int32_t *choice,
                                      int64_t groups, int64_t units)
{
    for (int64_t s = 0; s < groups; s++)
        chosen[s] = row[s * units + choice[s]];
}

/* The other way; all other columns become 0. */
static inline void sgti_scatter_chosen(float *row, const float *chosen, const int32_t *choice,
                                       int64_t groups, int64_t units)
{
    memset(row, 0, (size_t)(groups * units) * sizeof *row);
    for (int64_t s = 0; s < groups; s++)
        row[s * units + choice[s]] = chosen[s];
}

/* mask[i] becomes 1 where column first + i of the row is chosen, else 0. */
static inline void sgti_mask_of_choice(float *mask, const int32_t *choice, int64_t first,
                                       int64_t count, int64_t units)
{
    memset(mask, 0, (size_t)count * sizeof *mask);
    for (int64_t s = first / units; s * units < first + count; s++) {
        const int64_t column = s * units + choice[s] - first;
        if (column >= 0 && column < count)
            mask[column] = 1.0f;
    }
}

#endif
