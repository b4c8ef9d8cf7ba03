/* SPDX-License-Identifier: BSD-3-Clause */
/* One call each, chosen by the input in every detail. */
#ifndef SGTT_API_CALLS_H
#define SGTT_API_CALLS_H

#include "api_world.h"

/* Makes or frees. */
void api_optimizer(world *w);
void api_policy(world *w);
void api_growth(world *w);
void api_plan(world *w);
void api_session(world *w);

void api_optimizer_step(world *w);
void api_growth_step(world *w);
void api_plan_edit(world *w);
void api_set_plan(world *w);

/* Tokens, and what else a session can be told. */
void api_feed(world *w);
void api_session_change(world *w);
void api_sampler(world *w);
void api_pick(world *w);
void api_generate(world *w);

/* A plan or policy to bytes and back, whole or damaged. */
void api_bytes(world *w);

/* A pattern alone (api_parts.c). */
void api_pattern(world *w);

/* A model to a file and back. */
void api_checkpoint(world *w);

#endif
