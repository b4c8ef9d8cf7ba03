/* SPDX-License-Identifier: BSD-3-Clause */
/* Printed by make_0_1.c: what libsgt 0.1.0 gets from release_0_1.safetensors. */
#include "release_data.h"

static const release_record release_0_1 = {
    .file = "release_0_1.safetensors",
    .loaded = {0x1a7f909c5bd4075a, 0x90965a8c23a14801, 0x8f701965cec6f617},
    .policy = 0xdbb6dd5d04499a2c,
    .first = {0, -1, 0, 0},
    .steps = {
        {{0x4009bd737aaaaaab, 0x400ca9c59d89d89e},
         0x400dedb820866a9c, 0x3f86872b020c49ba, {0, -1, 0, 0}},
        {{0x4007e99cb9249249, 0x40084d8bbd89d89e},
         0x40060981883abd96, 0x3f832617c1bda511, {1, 1, 1, 2}},
        {{0x400a594b5d89d89e, 0x400a1f8dadb6db6e},
         0x4007e7cfc039264c, 0x3f7f8a0902de00d1, {0, -1, 0, 0}},
        {{0x4008ad6878000000, 0x400a286074924925},
         0x400b8ae60f14fad5, 0x3f78c7e28240b780, {0, -1, 0, 0}},
        {{0x4009f94231249249, 0x40080d3f1b13b13b},
         0x40052c8fe78ed468, 0x3f7205bc01a36e2f, {0, -1, 0, 0}},
        {{0x4007f2aac2762762, 0x400a06ac59249249},
         0x400495a0b02dc6f1, 0x3f66872b020c49ba, {2, 1, 2, 0}},
        {{0x4008a40d12492492, 0x4007f343d0000000},
         0x40052d33b5f16d3c, 0x3f5205bc01a36e2d, {0, -1, 0, 0}},
    },
    .ended = {0xcecca36871b6ff30, 0x832904db74692505, 0xb908124d2ec62e95},
    .evaluation = 0x4007809b8db6db6e,
    .logits = 0x9710aa94597d0066,
};
