/* SPDX-License-Identifier: BSD-3-Clause */
/* A batch is checked whole before anything is done with it: later code trusts ids and sizes. */
#include "batch.h"

#include <math.h>

#include "../base/error.h"
#include "../core/tensors.h"

#define BATCH_MINIMUM SGTI_SIZE_THROUGH(sgt_batch, targets)

static sgt_status check_tokens(const sgt_batch *batch, int32_t vocab)
{
    int64_t n = (int64_t)batch->batch * batch->seq;
    for (int64_t i = 0; i < n; i++) {
        if (batch->tokens[i] < 0 || batch->tokens[i] >= vocab)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "token %d at [%lld,%lld] is outside the vocabulary of %d",
                             (int)batch->tokens[i], (long long)(i / batch->seq),
                             (long long)(i % batch->seq), (int)vocab);
    }
    return SGT_OK;
}

static sgt_status check_targets(int64_t *count, const sgt_batch *batch, int32_t vocab)
{
    int64_t n = (int64_t)batch->batch * batch->seq;
    *count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (batch->targets[i] < -1 || batch->targets[i] >= vocab)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "target %d at [%lld,%lld] is outside the vocabulary of %d and not -1",
                             (int)batch->targets[i], (long long)(i / batch->seq),
                             (long long)(i % batch->seq), (int)vocab);
        *count += batch->targets[i] >= 0;
    }
    return SGT_OK;
}

static sgt_status check_sizes(const sgt_batch *batch, const sgt_model_config *config)
{
    if (!batch->tokens)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "batch.tokens is NULL");
    if (batch->batch < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "batch.batch is %d, must be at least 1",
                         (int)batch->batch);
    if (batch->seq < 1 || batch->seq > config->max_seq_len)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "batch.seq is %d, must be 1 to max_seq_len %d",
                         (int)batch->seq, (int)config->max_seq_len);
    return SGT_OK;
}

sgt_status sgti_batch_begin(sgti_checked_batch *batch, const sgt_model *model,
                            const sgt_batch *caller, int with_targets, const void *out,
                            size_t minimum, const char *name)
{
    sgti_checked_batch own = {0};
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(out, minimum, name);
    if (status)
        return status;
    if (!caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "batch is NULL");
    status = sgti_struct_read(&own.batch, sizeof own.batch, caller, BATCH_MINIMUM, "sgt_batch");
    if (!with_targets)
        own.batch.targets = NULL;
    if (status == SGT_OK)
        status = sgti_check_reserved(own.batch.reserved, "sgt_batch");
    if (status == SGT_OK)
        status = check_sizes(&own.batch, &model->config);
    if (status == SGT_OK)
        status = check_tokens(&own.batch, model->config.vocab_size);
    if (status == SGT_OK && own.batch.targets)
        status = check_targets(&own.count, &own.batch, model->config.vocab_size);
    if (status == SGT_OK)
        *batch = own;
    return status;
}

sgt_status sgti_write_batch(const sgti_work *work, const sgt_batch *batch)
{
    sgt_tensor ids = sgti_tensor_flat(sgti_at(work, &work->layout->ids));
    sgt_tensor targets = sgti_tensor_flat(sgti_at(work, &work->layout->targets));
    sgt_status status = sgti_write(work->dispatch, &ids, batch->tokens);
    if (status || !batch->targets)
        return status;
    return sgti_write(work->dispatch, &targets, batch->targets);
}

/* Without targets no losses were computed, so `losses` is not read. */
sgt_metrics sgti_batch_metrics(const sgti_checked_batch *checked, const float *losses)
{
    const sgt_batch *batch = &checked->batch;
    sgt_metrics metrics = {.size = sizeof metrics, .finite = 1, .count = checked->count};
    int64_t n = (int64_t)batch->batch * batch->seq;
    for (int64_t i = 0; metrics.count > 0 && i < n; i++) {
        if (batch->targets[i] >= 0)
            metrics.loss_sum += losses[i];
    }
    metrics.loss = metrics.count > 0 ? metrics.loss_sum / (double)metrics.count : 0.0;
    metrics.finite = isfinite(metrics.loss_sum) != 0;
    return metrics;
}
