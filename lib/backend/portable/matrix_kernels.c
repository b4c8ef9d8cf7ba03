/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of matrix kernels of one instruction set. The build compiles this file once for each,
 * with SGTI_ISA its name.
 */
#include "matrix_kernels.h"

#include "isa_name.h"

#include "attention_backward_tile.h"
#include "attention_forward_tile.h"
#include "gemm_tile.h"
#include "units_gradients_tile.h"
#include "units_inputs_tile.h"
#include "units_outputs_tile.h"

const sgti_matrix_kernels SGTI_ISA_NAME(sgti_matrix_kernels) = {
    .isa = SGTI_ISA_STRING,
    .gemm = gemm_part,
    .few_rows = few_rows_part,
    .turn = turn_part,
    .unit_inputs = unit_inputs_part,
    .unit_outputs = unit_outputs_part,
    .unit_gradients = unit_gradients_part,
    .attention = attention_part,
    .attention_backward = attention_backward_part,
};
