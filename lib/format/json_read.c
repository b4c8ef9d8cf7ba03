/* SPDX-License-Identifier: BSD-3-Clause */
#include "json_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"

/*
 * A recursive reader: each function reads one thing of the grammar at s->at and moves s->at behind
 * it. Those that return int return 0 on failure, those that return a tree return NULL; the first
 * reason stays in s->wrong, which is NULL while nothing is wrong and when memory was refused.
 */
typedef struct scanner {
    const char *start;
    const char *at;
    const char *end;
    char *token; /* a string without its escapes, or a number, with a zero behind it */
    size_t token_bytes;
    const sgti_json_wanted *wanted; /* what is wanted of the object being read; NULL: all */
    int levels; /* how many are open */
    int depth;  /* the most that may be open */
    const char *wrong;
    char key[sizeof ((sgti_json_error *)0)->key]; /* at which key it is wrong; "": not known */
} scanner;

static json_t *read_value(scanner *s);

/* ---- UTF-8 ---- */

/* How many bytes a character has that begins with this one; 0 when none does. The first byte of a
 * character of n > 1 bytes begins with n bits that are 1, then a 0. */
static size_t bytes_by_first(unsigned char first)
{
    if (first < 0x80)
        return 1;
    for (size_t bytes = 2; bytes <= 4; bytes++)
        if (first >> (7 - bytes) == (0xfe & 0xff >> (7 - bytes)))
            return bytes;
    return 0;
}

/* How many bytes the character at `text` has; 0 when there is no valid one. */
static size_t character(const unsigned char *text, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = bytes_by_first(text[0]);
    if (bytes > left)
        return 0;
    if (bytes <= 1)
        return bytes;
    uint32_t value = text[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        value = value << 6 | (text[i] & 0x3fu);
    }
    int surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least[bytes] || value > 0x10ffff || surrogate ? 0 : bytes;
}

int sgti_is_utf8(const char *text, size_t bytes)
{
    size_t step;
    for (size_t i = 0; i < bytes; i += step) {
        step = character((const unsigned char *)text + i, bytes - i);
        if (step == 0)
            return 0;
    }
    return 1;
}

static size_t put_character(char *to, uint32_t value)
{
    if (value < 0x80) {
        to[0] = (char)value;
        return 1;
    }
    size_t bytes = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (value & 0x3f));
        value >>= 6;
    }
    to[0] = (char)((0xf00u >> bytes & 0xf0u) | value);
    return bytes;
}

/* ---- tokens ---- */

static int fail(scanner *s, const char *wrong)
{
    if (!s->wrong)
        s->wrong = wrong;
    return 0;
}

/* The next byte, without taking it; 0 at the end. A byte that is 0 looks like the end, but
 * nothing in JSON begins with it. */
static char peek(const scanner *s)
{
    return s->at < s->end ? *s->at : '\0';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(scanner *s)
{
    while (s->at < s->end && memchr(" \t\n\r", *s->at, 4))
        s->at++;
}

/* Reads the four digits of \uXXXX, of which the u was read; -1 when they are no digits. */
static int32_t hexadecimal(scanner *s)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        char c = peek(s);
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Reads what follows \u: a character is one unit of UTF-16, or two that are a surrogate pair. */
static int read_unicode(scanner *s)
{
    int32_t value = hexadecimal(s);
    if (value < 0)
        return fail(s, "invalid Unicode escape");
    if (value == 0)
        return fail(s, "\\u0000 is not allowed");
    if (value >= 0xdc00 && value <= 0xdfff)
        return fail(s, "half a surrogate pair");
    if (value >= 0xd800 && value <= 0xdbff) {
        int escaped = s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u';
        s->at += escaped ? 2 : 0;
        int32_t second = escaped ? hexadecimal(s) : -1;
        if (second < 0xdc00 || second > 0xdfff)
            return fail(s, "half a surrogate pair");
        value = 0x10000 + ((value - 0xd800) << 10) + (second - 0xdc00);
    }
    s->token_bytes += put_character(s->token + s->token_bytes, (uint32_t)value);
    return 1;
}

static int read_escape(scanner *s)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = peek(s);
    if (s->at < s->end)
        s->at++;
    if (c == 'u')
        return read_unicode(s);
    const char *name = c == '\0' ? NULL : strchr(names, c);
    if (!name)
        return fail(s, "invalid escape");
    s->token[s->token_bytes++] = meanings[name - names];
    return 1;
}

/* Reads a string into s->token and resolves its escapes, which only makes it shorter: so the buffer
 * is large enough. */
static int read_string(scanner *s)
{
    s->at++; /* the quote */
    s->token_bytes = 0;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            s->at++;
            if (!read_escape(s))
                return 0;
            continue;
        }
        size_t bytes = character((const unsigned char *)s->at, (size_t)(s->end - s->at));
        if (bytes == 0)
            return fail(s, "a string is not UTF-8");
        if ((unsigned char)*s->at < 0x20)
            return fail(s, "a control character in a string");
        memcpy(s->token + s->token_bytes, s->at, bytes);
        s->token_bytes += bytes;
        s->at += bytes;
    }
    if (s->at == s->end)
        return fail(s, "premature end of input");
    s->at++;
    s->token[s->token_bytes] = '\0';
    return 1;
}

/* ---- numbers ---- */

static int skip_digits(scanner *s)
{
    if (!is_digit(peek(s)))
        return fail(s, "invalid number");
    while (is_digit(peek(s)))
        s->at++;
    return 1;
}

/* Walks over a number as the grammar has it. *is_real becomes 1 when it is no integer. */
static int skip_number(scanner *s, int *is_real)
{
    *is_real = 0;
    s->at += peek(s) == '-';
    if (peek(s) == '0')
        s->at++;
    else if (!skip_digits(s))
        return 0;
    if (is_digit(peek(s)))
        return fail(s, "a number begins with 0");
    if (peek(s) == '.') {
        *is_real = 1;
        s->at++;
        if (!skip_digits(s))
            return 0;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        *is_real = 1;
        s->at++;
        s->at += peek(s) == '+' || peek(s) == '-';
        return skip_digits(s);
    }
    return 1;
}

static int read_integer(json_int_t *value, const char *digits)
{
    int negative = *digits == '-';
    json_int_t sum = 0; /* of the digits, negated: INT64_MIN has no positive counterpart */
    for (digits += negative; *digits != '\0'; digits++) {
        int digit = *digits - '0';
        if (sum < INT64_MIN / 10 || 10 * sum < INT64_MIN + digit)
            return 0;
        sum = 10 * sum - digit;
    }
    if (!negative && sum == INT64_MIN)
        return 0;
    *value = negative ? sum : -sum;
    return 1;
}

/* Integers stay exact or are refused; other numbers become doubles. */
static json_t *read_number(scanner *s)
{
    const char *first = s->at;
    json_int_t integer = 0;
    int is_real;
    if (!skip_number(s, &is_real))
        return NULL;
    s->token_bytes = (size_t)(s->at - first);
    memcpy(s->token, first, s->token_bytes);
    s->token[s->token_bytes] = '\0';
    if (!is_real) {
        if (read_integer(&integer, s->token))
            return json_integer(integer);
        fail(s, "too big integer");
        return NULL;
    }
    double real = sgti_text_to_double(s->token);
    if (isfinite(real))
        return json_real(real);
    fail(s, "real number overflow");
    return NULL;
}

/* ---- values ---- */

static const sgti_json_wanted *find_wanted(const sgti_json_wanted *list, const char *key)
{
    for (; list->key; list++) {
        size_t stem = strcspn(list->key, "*");
        if (list->key[stem] == '*' ? strncmp(list->key, key, stem) == 0
                                   : strcmp(list->key, key) == 0)
            return list;
    }
    return NULL;
}

static int take_colon(scanner *s)
{
    skip_space(s);
    if (peek(s) != ':')
        return fail(s, "':' expected");
    s->at++;
    skip_space(s);
    return 1;
}

static int pass(scanner *s, const char *(*over)(const char *, const char *, const char **))
{
    const char *wrong = NULL, *behind = over(s->at, s->end, &wrong);
    if (!behind)
        return fail(s, wrong);
    s->at = behind;
    return 1;
}

/* Passes over a member that is not wanted and whose key begins at `first`. That the key may be
 * unreadable is no error then. */
static int pass_member(scanner *s, const char *first)
{
    s->at = first;
    s->wrong = NULL;
    return pass(s, sgti_json_pass_string) && take_colon(s) && pass(s, sgti_json_pass_value);
}

/* For `presence`: passes over a value and gives null for null, true for anything else. */
static json_t *notice_value(scanner *s)
{
    const char *first = s->at;
    if (!pass(s, sgti_json_pass_value))
        return NULL;
    return s->at - first == 4 && memcmp(first, "null", 4) == 0 ? json_null() : json_true();
}

/* For `optional`: reads a value; if that fails, it is passed over instead and null. */
static json_t *read_optional(scanner *s)
{
    const char *first = s->at;
    json_t *value = read_value(s);
    if (value || !s->wrong)
        return value;
    s->at = first;
    s->wrong = NULL;
    s->key[0] = '\0';
    return pass(s, sgti_json_pass_value) ? json_null() : NULL;
}

/* Reads a value and takes it into the object under `key`. */
static int add_member(scanner *s, json_t *object, const char *key, const sgti_json_wanted *wanted)
{
    const sgti_json_wanted *before = s->wanted;
    s->wanted = wanted ? wanted->members : NULL;
    json_t *value = wanted && wanted->presence   ? notice_value(s)
                    : wanted && wanted->optional ? read_optional(s)
                                                 : read_value(s);
    s->wanted = before;
    return value && json_object_set_new_nocheck(object, key, value) == 0;
}

/* Reads one member of an object, or passes over it. The key is copied, because reading the value
 * uses the same buffer. */
static int read_member(scanner *s, json_t *object)
{
    const char *first = s->at;
    const sgti_json_wanted *wanted = NULL;
    if (peek(s) != '"')
        return fail(s, "string or '}' expected");
    int done = read_string(s);
    /* A key that cannot be read counts as "": nobody wants it, unless a list has the key "*". */
    if (s->wanted)
        wanted = find_wanted(s->wanted, done ? s->token : "");
    if (s->wanted && !wanted)
        return pass_member(s, first);
    if (!done)
        return 0;
    char *key = malloc(s->token_bytes + 1);
    if (!key)
        return 0;
    memcpy(key, s->token, s->token_bytes + 1);
    if (json_object_get(object, key))
        done = fail(s, "duplicate object key");
    done = done && take_colon(s) && add_member(s, object, key, wanted);
    if (s->wrong && s->key[0] == '\0')
        sgti_format(s->key, sizeof s->key, "%s", key);
    free(key);
    return done;
}

static int read_element(scanner *s, json_t *array)
{
    json_t *value = read_value(s);
    return value && json_array_append_new(array, value) == 0;
}

/* Reads an object or a list into `made` (NULL: no memory), with the function that reads one of its
 * members; `last` is the bracket that ends it. */
static json_t *read_members(scanner *s, json_t *made, char last,
                            int (*read)(scanner *s, json_t *into), const char *expected)
{
    int more = 1, done = made != NULL;
    if (++s->levels > s->depth)
        done = fail(s, "is nested too deeply");
    s->at++; /* the bracket */
    skip_space(s);
    if (peek(s) == last)
        more = 0;
    while (done && more) {
        skip_space(s);
        done = read(s, made);
        skip_space(s);
        more = peek(s) == ',';
        s->at += more;
    }
    if (done && peek(s) != last)
        done = fail(s, expected);
    s->at += done;
    s->levels--;
    if (done)
        return made;
    json_decref(made);
    return NULL;
}

static json_t *read_word(scanner *s)
{
    static const char *const words[] = {"true", "false", "null"};
    json_t *const values[] = {json_true(), json_false(), json_null()};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(s->end - s->at) >= length && memcmp(s->at, words[i], length) == 0) {
            s->at += length;
            return values[i];
        }
    }
    fail(s, "invalid token");
    return NULL;
}

static json_t *read_value(scanner *s)
{
    skip_space(s);
    char c = peek(s);
    if (c == '{')
        return read_members(s, json_object(), '}', read_member, "'}' or ',' expected");
    if (c == '[')
        return read_members(s, json_array(), ']', read_element, "']' or ',' expected");
    if (c == '"')
        return read_string(s) ? json_stringn_nocheck(s->token, s->token_bytes) : NULL;
    if (c == '-' || is_digit(c))
        return read_number(s);
    return read_word(s);
}

json_t *sgti_json_read(sgti_json_error *error, const char *text, uint64_t bytes, uint64_t longest,
                       const sgti_json_wanted *wanted, int depth)
{
    scanner s = {
        .start = text, .at = text, .end = text + bytes, .wanted = wanted, .depth = depth};
    json_t *value = NULL;
    s.token = malloc((size_t)longest + 1);
    if (s.token)
        value = read_value(&s);
    skip_space(&s);
    if (value && s.at != s.end) {
        fail(&s, "end of file expected");
        json_decref(value);
        value = NULL;
    }
    free(s.token);
    *error = (sgti_json_error){.position = (uint64_t)(s.at - s.start), .text = s.wrong};
    memcpy(error->key, s.key, sizeof error->key);
    return value;
}
