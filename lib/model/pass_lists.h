/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists of passes in the backend's memory, where operations read them; passes.h shows how they
 * lie. */
#ifndef SGTI_PASS_LISTS_H
#define SGTI_PASS_LISTS_H

#include "../backend/storage.h"
#include "passes.h"

/* Takes memory for the lists of these passes and for `more` entries behind them, which the caller
 * uses as it likes, and writes the lists. */
sgt_status sgti_pass_lists_create(sgti_storage *lists, sgti_dispatch *dispatch,
                                  const sgti_passes *passes, int64_t more);

/* Writes lists again, for passes that have as many entries as the ones before. */
sgt_status sgti_pass_lists_write(const sgti_storage *lists, sgti_dispatch *dispatch,
                                 const sgti_passes *passes);

typedef enum sgti_pass_list {
    SGTI_LIST_ROWS,     /* int32 [h + 2g] */
    SGTI_LIST_HEADS,    /* int32 [h], the first of them */
    SGTI_LIST_KV_HEADS, /* int32 [h] */
    SGTI_LIST_GAINS     /* float32 [h]; not of pass 0 */
} sgti_pass_list;

/* The tensor of one list of one pass. */
sgt_tensor sgti_pass_list_of(sgt_buffer *lists, const sgt_model_config *config,
                             const sgti_pass *pass, sgti_pass_list which);

/* The tensor of `count` of the entries behind all lists, from `first` on, as int32. */
sgt_tensor sgti_pass_lists_more(sgt_buffer *lists, const sgti_passes *passes, int64_t first,
                                int64_t count);

#endif
