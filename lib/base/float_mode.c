/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On x86-64 the two control registers are read and written directly, because fegetenv and fesetenv
 * take half a microsecond together and every public function needs them. The x87 register is
 * written only if it changes: fldcw is slow.
 */
#include "float_mode.h"

#ifdef __x86_64__

/* In both registers all traps are masked and rounding is to nearest; nothing is flushed to 0. */
enum { DEFAULT_VECTOR = 0x1f80, DEFAULT_X87 = 0x37f };

static uint16_t read_x87(void)
{
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

static void write_x87(uint16_t word)
{
    __asm__ volatile("fldcw %0" : : "m"(word));
}

sgti_floats sgti_floats_enter(void)
{
    const sgti_floats host = {__builtin_ia32_stmxcsr(), read_x87()};
    sgti_floats_renew();
    return host;
}

void sgti_floats_leave(sgti_floats *host)
{
    __builtin_ia32_ldmxcsr(host->vector);
    if (read_x87() != host->x87)
        write_x87(host->x87);
}

void sgti_floats_renew(void)
{
    __builtin_ia32_ldmxcsr(DEFAULT_VECTOR);
    if (read_x87() != DEFAULT_X87)
        write_x87(DEFAULT_X87);
}

#else

sgti_floats sgti_floats_enter(void)
{
    sgti_floats host;
    fegetenv(&host.environment);
    sgti_floats_renew();
    return host;
}

void sgti_floats_leave(sgti_floats *host)
{
    fesetenv(&host->environment);
}

void sgti_floats_renew(void)
{
    fesetenv(FE_DFL_ENV);
}

#endif
