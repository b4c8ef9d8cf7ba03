/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of token ids, and windows of them for training and evaluating. */
#ifndef FINETUNE_DATA_H
#define FINETUNE_DATA_H

#include <stdint.h>

typedef struct token_list {
    int32_t *tokens; /* [count] */
    int64_t count;
} token_list;

/* Reads little-endian ids of 2 or 4 bytes, each below vocab_size; id_bytes 0: as many as the
 * vocabulary needs. *list is the caller's to free. Returns an exit status. */
int tokens_read(token_list *list, const char *path, int64_t id_bytes, int32_t vocab_size);

/* Writes `batch` windows of seq tokens and the tokens that follow each: inputs, targets
 * [batch,seq]. Window i begins at token first + i * stride, and again from the start where the list
 * ends; the list has more than seq tokens. */
void windows_fill(int32_t *inputs, int32_t *targets, const token_list *list, int64_t first,
                  int64_t stride, int64_t batch, int64_t seq);

#endif
