/* SPDX-License-Identifier: BSD-3-Clause */
/* Passes over values that nobody wants: only their brackets are matched and their strings must end.
 * Nothing of them is kept; a bit for each open level says whether it is an object or a list. */
#include "json_read.h"

#include <limits.h>
#include <string.h>

typedef struct walk {
    const char *at;
    const char *end;
    const char *wrong;
    int levels;
    unsigned char is_object[(SGTI_JSON_MOST_LEVELS + CHAR_BIT - 1) / CHAR_BIT]; /* bit by level */
} walk;

static int fail(walk *w, const char *wrong)
{
    w->wrong = wrong;
    return 0;
}

static char peek(const walk *w)
{
    return w->at < w->end ? *w->at : '\0';
}

static void skip_space(walk *w)
{
    while (w->at < w->end && memchr(" \t\n\r", *w->at, 4))
        w->at++;
}

static int in_object(const walk *w)
{
    int level = w->levels - 1;
    return level >= 0 && w->is_object[level / CHAR_BIT] >> level % CHAR_BIT & 1;
}

static int open_level(walk *w, int object)
{
    unsigned char bit = (unsigned char)(1u << w->levels % CHAR_BIT);
    if (w->levels == SGTI_JSON_MOST_LEVELS)
        return fail(w, "is nested too deeply");
    w->is_object[w->levels / CHAR_BIT] &= (unsigned char)~bit;
    w->is_object[w->levels / CHAR_BIT] |= object ? bit : 0;
    w->levels++;
    w->at++;
    skip_space(w);
    return 1;
}

static int pass_string(walk *w)
{
    if (peek(w) != '"')
        return fail(w, "a string expected");
    for (w->at++; w->at < w->end && *w->at != '"'; w->at++)
        w->at += *w->at == '\\' && w->end - w->at > 1;
    if (w->at == w->end)
        return fail(w, "premature end of input");
    w->at++;
    return 1;
}

/* Passes over a number of any size, a word, or anything else without white space, signs of JSON and
 * zero bytes. */
static int pass_scalar(walk *w)
{
    static const char breaks[] = " \t\n\r{}[],:\"";
    const char *first = w->at;
    while (w->at < w->end && !memchr(breaks, *w->at, sizeof breaks))
        w->at++;
    return w->at > first ? 1 : fail(w, "invalid token");
}

static int pass_key(walk *w)
{
    if (!pass_string(w))
        return 0;
    skip_space(w);
    if (peek(w) != ':')
        return fail(w, "':' expected");
    w->at++;
    return 1;
}

/* Called behind a value: closes the levels that end there, and goes to the next value. */
static int pass_ends(walk *w)
{
    for (; w->levels > 0; w->levels--) {
        skip_space(w);
        if (peek(w) == ',') {
            w->at++;
            skip_space(w);
            return in_object(w) ? pass_key(w) : 1;
        }
        if (peek(w) != (in_object(w) ? '}' : ']'))
            return fail(w, in_object(w) ? "'}' or ',' expected" : "']' or ',' expected");
        w->at++;
    }
    return 1;
}

/* Passes over a string or scalar, or over the bracket that opens a list or an object, and then
 * over the object's first key. *ended becomes 1 when a value ended here. */
static int pass_begin(walk *w, int *ended)
{
    skip_space(w);
    char c = peek(w);
    *ended = 1;
    if (c == '"')
        return pass_string(w);
    if (c != '{' && c != '[')
        return pass_scalar(w);
    if (!open_level(w, c == '{'))
        return 0;
    if (peek(w) == (c == '{' ? '}' : ']'))
        return 1; /* an empty list or object: its level ends here, as a value would */
    *ended = 0;
    return c == '{' ? pass_key(w) : 1;
}

const char *sgti_json_pass_value(const char *at, const char *end, const char **wrong)
{
    walk w = {.at = at, .end = end};
    int done = 1, ended;
    do {
        done = pass_begin(&w, &ended);
        done = done && (!ended || pass_ends(&w));
    } while (done && (!ended || w.levels > 0));
    if (!done)
        *wrong = w.wrong;
    return done ? w.at : NULL;
}

const char *sgti_json_pass_string(const char *at, const char *end, const char **wrong)
{
    walk w = {.at = at, .end = end};
    if (pass_string(&w))
        return w.at;
    *wrong = w.wrong;
    return NULL;
}
