/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library asks of the system about files, by way of the linker's --wrap: calls of one kind
 * are counted, and made to fail in one way. tests/faults/meson.build has the list of the functions.
 */
#ifndef SGTT_IO_SHIM_H
#define SGTT_IO_SHIM_H

#include "sweep.h"

typedef enum io_call {
    IO_OPEN,
    IO_READ,
    IO_WRITE,
    IO_FSYNC,
    IO_LOCK,
    IO_EXAMINE, /* fstat, stat */
    IO_RENAME,
    IO_REMOVE,  /* unlink */
    IO_MODE,    /* fchmod */
    IO_CLOSE,
    IO_OPEN_FOLDER,
    IO_READ_FOLDER,
    IO_CALLS
} io_call;

typedef struct io_fault {
    io_call call;
    int error;    /* errno; 0: another result */
    int shorter;  /* reads and writes: 1: one byte, 2: half, 3: none at all */
} io_fault;

extern sweep io_sweep;

/* What the calls that fail do. */
extern io_fault io_fault_now;

/* All calls of every kind since the start. */
extern int64_t io_calls_made[IO_CALLS];

/* Files that were written and then renamed, and how many of them a loss of power could have taken:
 * not synchronised between their last write and the new name, or closed before their folder was. */
extern int64_t io_renames, io_renames_unsafe;

#endif
