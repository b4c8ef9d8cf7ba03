/* SPDX-License-Identifier: BSD-3-Clause */
/* What libFuzzer calls, and so does the program that runs a corpus without it. */
#ifndef SGTT_FUZZ_H
#define SGTT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
