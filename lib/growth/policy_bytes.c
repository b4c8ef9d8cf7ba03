/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy of any kind as bytes: a header that tells whose they are, and then what the policy
 * itself saves.
 *
 *     u32 magic, version, kind, n_layers, n_heads, fixed; u64 length of the policy's own bytes
 */
#include "growth.h"

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/float_mode.h"

#define STATE_MAGIC   UINT32_C(0x47544753) /* "SGTG" */
#define STATE_VERSION UINT32_C(1)

static void write_header(sgti_writer *writer, const sgt_growth_policy *policy, size_t length)
{
    sgti_put_u32(writer, STATE_MAGIC);
    sgti_put_u32(writer, STATE_VERSION);
    sgti_put_i32(writer, policy->kind);
    sgti_put_i32(writer, policy->n_layers);
    sgti_put_i32(writer, policy->n_heads);
    sgti_put_i32(writer, policy->fixed);
    sgti_put_u64(writer, length);
}

sgt_status sgt_growth_policy_save(void *data, size_t *bytes, const sgt_growth_policy *policy)
{
    SGTI_DEFAULT_FLOATS;
    sgti_writer header = {0};
    size_t length = 0;
    sgt_status status = SGT_OK;
    if (!bytes || !policy)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !bytes ? "bytes" : "policy");
    if (policy->vtable.save)
        status = sgti_policy_call_save(policy, NULL, &length);
    if (status)
        return status;
    write_header(&header, policy, length);
    if (length > SIZE_MAX - header.used)
        return sgti_fail(SGT_E_OVERFLOW, "the state of the policy says it needs %zu bytes", length);
    if (data) {
        if (*bytes < header.used + length)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "bytes is %zu, the state of the policy needs %zu",
                             *bytes, (size_t)header.used + length);
        header = (sgti_writer){.data = data, .used = 0};
        write_header(&header, policy, length);
        if (policy->vtable.save)
            status = sgti_policy_call_save(policy, header.data + header.used, &length);
        if (status)
            return status;
    }
    *bytes = (size_t)header.used + length;
    return SGT_OK;
}

/* Reads the header; leaves the policy's own bytes in the reader. */
static sgt_status read_header(int32_t *fixed, sgti_reader *reader, const sgt_growth_policy *policy)
{
    uint32_t magic = sgti_get_u32(reader);
    uint32_t version = sgti_get_u32(reader);
    if (reader->failed || magic != STATE_MAGIC)
        return sgti_fail(SGT_E_FORMAT, "the bytes are no state of a growth policy");
    if (version != STATE_VERSION)
        return sgti_fail(SGT_E_VERSION, "policy state: version %lu is not known",
                         (unsigned long)version);
    int32_t kind = sgti_get_i32(reader);
    int32_t n_layers = sgti_get_i32(reader);
    int32_t n_heads = sgti_get_i32(reader);
    int32_t is_fixed = sgti_get_i32(reader);
    uint64_t length = sgti_get_u64(reader);
    if (reader->failed || length != reader->left)
        return sgti_fail(SGT_E_FORMAT, "policy state: the length is wrong");
    if (is_fixed != 0 && is_fixed != 1)
        return sgti_fail(SGT_E_FORMAT, "policy state: fixed is %d", (int)is_fixed);
    if (kind != policy->kind)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the state is of another kind of policy");
    if (n_layers != policy->n_layers || n_heads != policy->n_heads)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the state is for %d layers of %d heads, the policy for %d of %d",
                         (int)n_layers, (int)n_heads, (int)policy->n_layers, (int)policy->n_heads);
    *fixed = is_fixed;
    return SGT_OK;
}

sgt_status sgt_growth_policy_load(sgt_growth_policy *policy, const void *data, size_t bytes)
{
    SGTI_DEFAULT_FLOATS;
    sgti_reader reader = {.data = data, .left = bytes};
    int32_t fixed = 0;
    if (!policy || !data)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !policy ? "policy" : "data");
    sgt_status status = read_header(&fixed, &reader, policy);
    if (status)
        return status;
    if (policy->vtable.load)
        status = sgti_policy_call_load(policy, reader.data, reader.left);
    else if (reader.left != 0)
        status = sgti_fail(SGT_E_FORMAT, "policy state: %zu bytes for a policy that keeps none",
                           reader.left);
    if (status)
        return status;
    policy->fixed = fixed;
    if (policy->growth)
        sgti_growth_refresh(policy->growth);
    return SGT_OK;
}
