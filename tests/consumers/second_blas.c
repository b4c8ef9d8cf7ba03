/* SPDX-License-Identifier: BSD-3-Clause */
/* A BLAS of the host's: its names are those of real ones. A call is the end of the program. */
#include <stdio.h>
#include <stdlib.h>

static void called(const char *name)
{
    fprintf(stderr, "the library called the host's %s\n", name);
    exit(1);
}

#define FAKE(name)                                                                                 \
    void name(void);                                                                               \
    void name(void)                                                                                \
    {                                                                                              \
        called(#name);                                                                             \
    }

FAKE(sgemm_)
FAKE(dgemm_)
FAKE(cblas_sgemm)
FAKE(cblas_dgemm)
FAKE(xerbla_)
FAKE(bli_init)
FAKE(bli_init_once)
FAKE(bli_sgemm)
FAKE(bli_sgemm_ex)
FAKE(bli_gks_query_cntx)
FAKE(bli_gks_lookup_nat_cntx)
FAKE(sgti_fail)
