/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers of an sgt_model_config and of its blocks, a row each, for whoever sets, checks,
 * stores, compares or translates them. A new field is a row here and a line in the header and its
 * mirrors.
 */
#ifndef SGTI_CONFIG_FIELDS_H
#define SGTI_CONFIG_FIELDS_H

#include <stddef.h>

#include <sgt/model.h>

#include "../base/float32.h"
#include "../base/strict_math.h"

#define SGTI_CONFIG_FIELDS 15
#define SGTI_BLOCK_FIELDS  8
#define SGTI_BLOCK_KINDS   2 /* the first of them are kinds of parts */
#define SGTI_MAX_HEAD_DIM  512
#define SGTI_MAX_STREAMS   16

typedef enum sgti_config_kind {
    SGTI_CONFIG_INTEGER, /* int32_t */
    SGTI_CONFIG_FLAG,    /* int32_t, 0 or 1 */
    SGTI_CONFIG_CHOICE,  /* int32_t of an enum; files have its word */
    SGTI_CONFIG_REAL     /* double */
} sgti_config_kind;

typedef struct sgti_config_field {
    const char *name;    /* in the struct, in messages, and behind "model." in checkpoints */
    const char *hf_name; /* in config.json */
    size_t offset;
    sgti_config_kind kind;
    sgti_float32_range range; /* of a real */
    int32_t least, most;      /* of an integer, flag or choice */
    const char *const *words; /* [most + 1] of a choice */
    int32_t optional;         /* 1: files have it only where it is not `initial` */
    double initial;           /* what sgt_model_config_init sets */
    double hf_initial;        /* what a config.json without it means; below 0: it must be there */
} sgti_config_field;

extern const sgti_config_field sgti_config_fields[SGTI_CONFIG_FIELDS];

/* 1 when files have the field of a resolved configuration or block: it is not optional, or not
 * what it is without. */
int sgti_config_is_told(const void *config, const sgti_config_field *field);

/* 1 when files have some optional field. */
int sgti_config_tells_more(const sgt_model_config *config);

/* The number of a choice's word; -1: it has no such word. */
int32_t sgti_config_find_word(const sgti_config_field *field, const char *word);

/* Fields of a block are described alike: `name` stands behind "model.block.I." in checkpoints, and
 * hf_name is a list in config.json with an entry a block. The words of the first two, the numbers
 * of kinds, are the names of the kinds (parts.h), and their `most` is not a bound. */

/* What stands beside the kinds of a block: its patterns, joined by commas. */
#define SGTI_PATTERNS_NAME    "patterns"
#define SGTI_PATTERNS_HF_NAME "sgt_block_patterns"

/* In the order of the parts of a block, and then what else there is. */
extern const sgti_config_field sgti_block_fields[SGTI_BLOCK_FIELDS];

/* The value of a field of a configuration, or of a block. Every int32_t is exact as a double. */
double sgti_config_get(const void *config, const sgti_config_field *field);
void sgti_config_set(void *config, const sgti_config_field *field, double value);

/* Checks a field against its bounds. Errors: SGT_E_OUT_OF_RANGE, with `name`. */
sgt_status sgti_config_check_field(const void *config, const sgti_config_field *field,
                                   const char *name);

/* Sets the fields that the parts of a block do not have to what they are by default, and a default
 * that stands for a number to the number. */
void sgti_block_resolve(sgt_block_config *block);

#endif
