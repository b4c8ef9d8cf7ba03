/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SGTI_TURN_H
#define SGTI_TURN_H

#include "portable.h"

/* Copies x to y if both are float32 matrices of one shape and one lies by rows, the other by
 * columns; else returns 0 and does nothing. */
int sgti_turn(const sgti_portable *portable, const sgt_tensor *y, const sgt_tensor *x);

#endif
