/* SPDX-License-Identifier: BSD-3-Clause */
/* What a config.json says to other programs. A model keeps it for the next save, but does not act
 * on it. */
#ifndef SGTI_HF_NOTES_H
#define SGTI_HF_NOTES_H

typedef struct sgti_hf_notes {
    double initializer_range;
    double attention_dropout;
} sgti_hf_notes;

/* What transformers takes where a file says nothing. */
extern const sgti_hf_notes sgti_hf_default_notes;

#endif
