/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints the bytes of a model as they come. A character of several bytes appears when it is whole;
 * bytes that are no UTF-8 appear as U+FFFD, and control characters, which should not reach a
 * terminal, as \x1b.
 */
#ifndef TEXT_OUTPUT_H
#define TEXT_OUTPUT_H

#include <stdio.h>

typedef struct text_output {
    FILE *file;
    int raw; /* 1: every byte as it is */
    int at_line_start;
    unsigned n_pending; /* fewer than its length */
    unsigned char pending[4]; /* the beginning of a character */
} text_output;

/* Prints what the byte completes, at once. */
void text_put(text_output *t, unsigned char byte);

/* Ends the text and its line. */
void text_end(text_output *t);

#endif
