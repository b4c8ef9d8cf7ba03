/* SPDX-License-Identifier: BSD-3-Clause */
/* What bench_train does with --against soft. */
#ifndef SGT_BENCH_TRAIN_AGAINST_H
#define SGT_BENCH_TRAIN_AGAINST_H

#include "bench.h"

/* Measures, prints, and writes options->json. */
void bench_train_against(const bench_options *options);

#endif
