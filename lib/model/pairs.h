/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a configuration excludes each other. Everything that is not in the table combines. */
#ifndef SGTI_PAIRS_H
#define SGTI_PAIRS_H

#include <sgt/model.h>

/* Checks a configuration that is resolved but for its blocks, which were checked one by one.
 * Errors: SGT_E_UNSUPPORTED (the message names both). */
sgt_status sgti_pairs_check(const sgt_model_config *config);

#endif
