/* SPDX-License-Identifier: BSD-3-Clause */
#include "batch.h"

#include <math.h>

#include "../base/error.h"

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

sgt_status sgti_batch_read(sgt_batch *batch, int64_t *count, const sgt_batch *caller,
                           const sgt_model_config *config, int targets)
{
    sgt_batch own = {0};
    if (!caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "batch is NULL");
    sgt_status status = sgti_struct_read(&own, sizeof own, caller, BATCH_MINIMUM, "sgt_batch");
    if (status)
        return status;
    if (!own.tokens)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "batch.tokens is NULL");
    if (own.batch < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "batch.batch is %d, must be at least 1",
                         (int)own.batch);
    if (own.seq < 1 || own.seq > config->max_seq_len)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "batch.seq is %d, must be 1 to max_seq_len %d",
                         (int)own.seq, (int)config->max_seq_len);
    if (!targets)
        own.targets = NULL;
    status = check_tokens(&own, config->vocab_size);
    if (status)
        return status;
    int64_t found = 0;
    if (own.targets) {
        status = check_targets(&found, &own, config->vocab_size);
        if (status)
            return status;
    }
    *batch = own;
    *count = found;
    return SGT_OK;
}

sgt_metrics sgti_batch_metrics(const sgt_batch *batch, const float *losses, int64_t count)
{
    sgt_metrics metrics = {.size = sizeof metrics, .finite = 1, .count = count};
    int64_t n = (int64_t)batch->batch * batch->seq;
    for (int64_t i = 0; count > 0 && i < n; i++) {
        if (batch->targets[i] >= 0)
            metrics.loss_sum += losses[i];
    }
    metrics.loss = count > 0 ? metrics.loss_sum / (double)count : 0.0;
    metrics.finite = isfinite(metrics.loss_sum) != 0;
    return metrics;
}
