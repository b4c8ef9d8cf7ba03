/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text as training data: a whole file in memory, cut into windows in an order that depends only
 * on the seed, so that the batch of a step is the same in every run.
 */
#ifndef TRAIN_TEXT_DATA_H
#define TRAIN_TEXT_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "train_text_options.h"

typedef struct corpus {
    unsigned char *train_file;
    unsigned char *held_out_file; /* NULL: held_out lies in train_file */
    const unsigned char *train;
    const unsigned char *held_out;
    size_t train_bytes;
    size_t held_out_bytes;
} corpus;

/* Reads TEXT and the held-out file; without one the last twentieth of TEXT (at least a sequence)
 * is held out. Returns an exit status, after a message where it is not EXIT_DONE. */
int corpus_read(corpus *t, const settings *o);

void corpus_free(corpus *t);

/*
 * Fills tokens and targets, both (batch, seq), with windows number first, first + 1, ... of an
 * endless series: each epoch cuts the bytes into windows at a phase of its own and goes through
 * them in a random order, so every byte is seen once before any is seen again.
 */
void fill_batch(int32_t *tokens, int32_t *targets, const unsigned char *bytes, size_t n_bytes,
                int32_t batch, int32_t seq, uint64_t seed, uint64_t first);

/* 64 well mixed bits of a counter: Steele, Lea and Flood's SplitMix64 as a function. */
static inline uint64_t mix_bits(uint64_t counter)
{
    uint64_t x = counter * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
