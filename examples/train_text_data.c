/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a whole file (or pipe). *bytes is the caller's to free, also after a failure. */
static int read_file(unsigned char **bytes, size_t *count, const char *path)
{
    size_t room = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain(EXIT_BAD_INPUT, "%s: %s", path, strerror(errno));
    *bytes = NULL;
    *count = 0;
    while (!feof(file) && !ferror(file)) {
        if (*count == room) {
            unsigned char *grown = realloc(*bytes, room = room ? 2 * room : 1 << 20);
            if (!grown) {
                fclose(file);
                return complain(EXIT_FAILED, "%s: out of memory after %zu bytes", path, *count);
            }
            *bytes = grown;
        }
        errno = 0;
        *count += fread(*bytes + *count, 1, room - *count, file);
    }
    int broken = ferror(file) ? errno : 0;
    fclose(file);
    if (broken)
        return complain(EXIT_BAD_INPUT, "%s: %s", path, strerror(broken));
    if (!*count)
        return complain(EXIT_BAD_INPUT, "%s: is empty", path);
    return EXIT_DONE;
}

int corpus_read(corpus *t, const settings *o)
{
    size_t needed = (size_t)o->seq + 1; /* every byte but the first is a target */
    memset(t, 0, sizeof *t);
    int status = read_file(&t->train_file, &t->train_bytes, o->text);
    if (!status && o->held_out)
        status = read_file(&t->held_out_file, &t->held_out_bytes, o->held_out);
    if (status)
        return status;
    t->train = t->train_file;
    t->held_out = t->held_out_file;
    if (t->held_out && t->held_out_bytes < 2)
        return complain(EXIT_BAD_INPUT, "%s: has fewer than 2 bytes", o->held_out);
    if (!t->held_out) {
        if (t->train_bytes < 2 * needed)
            return complain(EXIT_BAD_INPUT,
                            "%s: has %zu bytes; sequences of %lld and a part to hold out need %zu",
                            o->text, t->train_bytes, (long long)o->seq, 2 * needed);
        t->held_out_bytes = t->train_bytes / 20 > needed ? t->train_bytes / 20 : needed;
        t->train_bytes -= t->held_out_bytes;
        t->held_out = t->train + t->train_bytes;
    }
    if (t->train_bytes < needed)
        return complain(EXIT_BAD_INPUT, "%s: has %zu bytes; sequences of %lld need %zu", o->text,
                        t->train_bytes, (long long)o->seq, needed);
    return EXIT_DONE;
}

void corpus_free(corpus *t)
{
    free(t->train_file);
    free(t->held_out_file);
}

/*
 * A random permutation of 0..n-1 without a table: four rounds of a Feistel network permute the
 * numbers of an even count of bits; a result outside is permuted again until it is inside.
 */
static uint64_t permute(uint64_t x, uint64_t n, uint64_t key)
{
    int half = 1;
    while (half < 32 && (n - 1) >> (2 * half))
        half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t mixed = left ^ (mix_bits(key + mix_bits(right + (round << 32))) & mask);
            left = right;
            right = mixed;
        }
        x = left << half | right;
    } while (x >= n);
    return x;
}

void fill_batch(int32_t *tokens, int32_t *targets, const unsigned char *bytes, size_t n_bytes,
                int32_t batch, int32_t seq, uint64_t seed, uint64_t first)
{
    uint64_t starts = (uint64_t)n_bytes - (uint64_t)seq; /* places where a window may start */
    uint64_t phases = starts < (uint64_t)seq ? starts : (uint64_t)seq;
    uint64_t windows = starts < (uint64_t)seq ? 1 : starts / (uint64_t)seq;
    for (int32_t b = 0; b < batch; b++) {
        uint64_t epoch = (first + (uint64_t)b) / windows;
        uint64_t key = mix_bits(mix_bits(seed) + epoch);
        uint64_t window = permute((first + (uint64_t)b) % windows, windows, key);
        const unsigned char *at = bytes + window * (uint64_t)seq + mix_bits(~key) % phases;
        for (int32_t t = 0; t < seq; t++) {
            tokens[(size_t)b * (size_t)seq + (size_t)t] = at[t];
            targets[(size_t)b * (size_t)seq + (size_t)t] = at[t + 1];
        }
    }
}
