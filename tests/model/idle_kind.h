/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A second kind of feed-forward part, by a sgti_part_kind_of in the place of the library's: it has
 * no parameters and adds nothing, y = x. So a model with it computes what one with SwiGLU does
 * whose down projection is 0, and its layers are not alike. It asks for an even d_ff, to have
 * something to refuse.
 */
#ifndef SGTT_IDLE_KIND_H
#define SGTT_IDLE_KIND_H

#include <sgt/model.h>

enum { IDLE = 1 }; /* feed_forward of a block */

extern int idle_is_known; /* 0: as in a library that has no such kind */

/* Standard, idle; as a model has them. */
extern const sgt_block_config idle_blocks[2];

/* sgtt_config with such a list. */
sgt_model_config idle_config(void);

#endif
