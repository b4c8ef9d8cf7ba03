/* SPDX-License-Identifier: BSD-3-Clause */
/* A region is an offset in its arena; sgti_at (work.h) makes a tensor of it where the arenas
 * lie. */
#include "regions.h"

#include "../core/tensors.h"

sgti_shape sgti_batch_shape(const sgt_model_config *config, const sgt_model_options *options,
                            sgti_mode mode, int32_t batch, int32_t seq)
{
    sgti_shape shape = {.config = config,
                        .mode = mode,
                        .batch = batch,
                        .seq = seq,
                        .rows = (int64_t)batch * seq};
    shape.recompute = options->recompute && sgti_is_training(&shape);
    return shape;
}

sgti_region sgti_take(sgti_regions *regions, sgti_arena_kind arena, int64_t rows, int64_t columns,
                      int32_t dtype)
{
    sgti_region region = {.rows = rows, .columns = columns, .dtype = dtype, .arena = arena};
    int64_t taken = rows ? rows : regions->shape->rows;
    region.offset = sgti_arena_take(&regions->arenas[arena], (uint64_t)taken, (uint64_t)columns,
                                    sgti_dtype_bytes(dtype));
    return region;
}

sgti_region sgti_take_activation(sgti_regions *regions, int64_t columns)
{
    sgti_arena_kind arena = sgti_is_training(regions->shape) ? SGTI_KEPT : SGTI_SCRATCH;
    return sgti_take(regions, arena, 0, columns, SGT_F32);
}

sgti_region sgti_take_scratch(sgti_regions *regions, int64_t rows, int64_t columns)
{
    return sgti_take(regions, SGTI_SCRATCH, rows, columns, SGT_F32);
}
