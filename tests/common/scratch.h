/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder of its own for a test, made on first use and removed with all that is in it. */
#ifndef SGTT_SCRATCH_H
#define SGTT_SCRATCH_H

enum { SCRATCH_PATH = 512 };

/* The path of a file in it; "" is the folder. */
void scratch_path(char path[SCRATCH_PATH], const char *name);
void scratch_remove(void);

/* A whole file; the caller frees. */
unsigned char *scratch_read(const char *path, unsigned long *bytes);
void scratch_write(const char *path, const void *data, unsigned long bytes);

/* Puts `to` wherever a file has `from`, of the same length; returns in how many places. */
int scratch_replace(const char *path, const char *from, const char *to);

/* 1 when both files have the same bytes. */
int scratch_equal(const char *a, const char *b);

#endif
