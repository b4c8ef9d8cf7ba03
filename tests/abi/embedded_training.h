/* SPDX-License-Identifier: BSD-3-Clause */
/* What the module of embedded_training.c shows, found by dlsym. */
#ifndef SGTT_EMBEDDED_TRAINING_H
#define SGTT_EMBEDDED_TRAINING_H

#if defined(__GNUC__)
#define EMBEDDED_API __attribute__((visibility("default")))
#else
#define EMBEDDED_API
#endif

/* Trains, grows, evaluates, saves to `path`, loads, generates and frees. Returns the most threads
 * that threads() counted while it ran; -1 when something failed. */
EMBEDDED_API int embedded_training(const char *path, int (*threads)(void));

/* 1 when a call failed as it should in the calling thread. */
EMBEDDED_API int embedded_failure(void);

typedef int (*embedded_training_fn)(const char *path, int (*threads)(void));
typedef int (*embedded_failure_fn)(void);

#endif
