/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention patterns, sparse parts and widened streams, good and bad, and what a model with them
 * is. */
#ifndef SGTT_API_PARTS_H
#define SGTT_API_PARTS_H

#include "api_world.h"

/* What a model is made of; config points into it. */
typedef struct own_blocks {
    sgt_block_config blocks[MOST_LAYERS];
    sgt_attention_pattern patterns[MOST_LAYERS];
} own_blocks;

/* Gives a configuration blocks with patterns, perhaps bad ones; what it then is. */
sgt_status add_blocks(own_blocks *own, sgt_model_config *config, world *w);

/* Gives a configuration with blocks parts that choose or multiply, and a head of modules, perhaps
 * badly; what it then is. */
sgt_status add_sparse(own_blocks *own, sgt_model_config *config, world *w);

/* Widens the stream of a configuration, perhaps badly; what it then is. */
sgt_status add_streams(sgt_model_config *config, world *w);

/* Notes the streams and the head of a model that was made, and the parts of every layer. */
void note_parts(model_facts *m, const sgt_model_config *config);

/* 1 when two models of one shape have the same streams and the same head, and every layer the same
 * parts, and sees the same keys. */
int same_parts(const model_facts *a, const model_facts *b);

#endif
