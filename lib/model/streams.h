/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A token as K streams x_0 .. x_K-1 of d (AltUp and Recycled-AltUp, Baykal et al., arXiv
 * 2301.13310). A layer works on one of them, the active stream a, and what it changes there
 * corrects a cheap prediction of all. With P [K,K] the parameter predict and g [K] correct:
 *
 *     ahead_j = sum_k P_jk x_k
 *     y       = Layer(x_a)                          with all its loops and runs
 *     out_j   = ahead_j + g_j (y - ahead_a)
 *
 * The prediction need not be made: out is one product of a small matrix and what there is,
 *
 *     out = [M | g] [x ; y]                         M_jk = P_jk - g_j P_ak
 *
 * and so are the gradients, from D_j that of out_j and S_jk = <D_j, x_k>, S_jK = <D_j, y>, which
 * are sums over all tokens and columns:
 *
 *     dx = M^T D    dy = g^T D    dg_j = S_jK - sum_k P_ak S_jk
 *     dP_jk = S_jk, from whose row a sum_i g_i S_ik is taken
 *
 * dx_a then gets what comes through the layer. With P the identity, g ones and equal streams, which
 * is how a recycled model starts, every out_j is y: the plain model, and to the bit where the mean
 * of K equal numbers is exact, as of 2 and 4.
 *
 * With K = 1 there is one stream, the plain one, and nothing is mixed.
 */
#ifndef SGTI_STREAMS_H
#define SGTI_STREAMS_H

#include "work.h"

/* Makes the streams of the first layer from layout.ids, and adds to the gradient of the embedding
 * from that of these streams. */
sgt_status sgti_streams_begin(const sgti_work *work);
sgt_status sgti_streams_begin_backward(const sgti_work *work);

/* Makes the streams behind a layer whose runs are done. */
sgt_status sgti_streams_mix(const sgti_work *work, int32_t layer);

/* Makes layout.dx, the gradient of the layer's y, from that of the streams behind it, and adds to
 * the gradients of predict and correct. */
sgt_status sgti_streams_mix_backward(const sgti_work *work, int32_t layer);
/* Finishes the gradient of the streams before a layer, when layout.dx is that through its runs. */
sgt_status sgti_streams_finish_backward(const sgti_work *work, int32_t layer);

/* Makes the input of the final norm from the last streams, and from its gradient that of these
 * streams. */
sgt_status sgti_streams_end(const sgti_work *work);
sgt_status sgti_streams_end_backward(const sgti_work *work);

#endif
