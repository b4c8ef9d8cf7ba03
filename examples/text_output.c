/* SPDX-License-Identifier: BSD-3-Clause */
#include "text_output.h"

/* Bytes of the character that starts with `lead`; 0 where none does. */
static unsigned length_of(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

/* Whether the byte may come after the pending ones (Unicode, table 3-7: neither surrogates nor
 * longer forms than needed). */
static int goes_on(const text_output *t, unsigned char byte)
{
    unsigned char lead = t->pending[0], low = 0x80, high = 0xbf;
    if (t->n_pending == 1) {
        if (lead == 0xe0)
            low = 0xa0;
        if (lead == 0xed)
            high = 0x9f;
        if (lead == 0xf0)
            low = 0x90;
        if (lead == 0xf4)
            high = 0x8f;
    }
    return byte >= low && byte <= high;
}

static void replace(text_output *t)
{
    fputs("\xef\xbf\xbd", t->file);
    t->n_pending = 0;
    t->at_line_start = 0;
}

static void print_character(text_output *t)
{
    unsigned char first = t->pending[0];
    int c0 = first < 32 && first != '\n' && first != '\t';
    int c1 = first == 0xc2 && t->pending[1] < 0xa0;
    for (unsigned i = 0; i < t->n_pending; i++)
        if (c0 || c1 || first == 127)
            fprintf(t->file, "\\x%02x", t->pending[i]);
        else
            putc(t->pending[i], t->file);
    t->at_line_start = first == '\n';
    t->n_pending = 0;
}

void text_put(text_output *t, unsigned char byte)
{
    if (t->raw) {
        putc(byte, t->file);
        fflush(t->file);
        return;
    }
    if (t->n_pending > 0 && !goes_on(t, byte))
        replace(t);
    unsigned length = length_of(t->n_pending > 0 ? t->pending[0] : byte);
    if (t->n_pending >= length) { /* no character starts with this byte */
        replace(t);
    } else {
        t->pending[t->n_pending++] = byte;
        if (t->n_pending == length)
            print_character(t);
    }
    fflush(t->file);
}

void text_end(text_output *t)
{
    if (t->n_pending > 0)
        replace(t);
    if (!t->raw && !t->at_line_start)
        putc('\n', t->file);
    fflush(t->file);
}
