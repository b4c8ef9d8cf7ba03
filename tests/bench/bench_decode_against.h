/* SPDX-License-Identifier: BSD-3-Clause */
/* What bench_decode does with --against dense. */
#ifndef SGT_BENCH_DECODE_AGAINST_H
#define SGT_BENCH_DECODE_AGAINST_H

#include "bench.h"

/* Measures, prints, and writes options->json. */
void bench_decode_against(const bench_options *options);

#endif
