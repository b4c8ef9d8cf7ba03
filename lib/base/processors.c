/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Says how many processors this process may keep busy: as many as its affinity mask has, but no
 * more than the quotas of its control groups allow (version 2: cpu.max, version 1:
 * cpu.cfs_quota_us), rounded up. Whatever cannot be read does not limit.
 */
#include "threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#endif

#include "text.h"

#define PATH_ROOM 1024
#define LINE_ROOM 512

static int32_t online(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > INT32_MAX ? INT32_MAX : (int32_t)count;
}

#ifdef __linux__

/* Returns 0 when it is not known. The mask grows until the system accepts it: the call fails for a
 * mask shorter than the system's own. */
static int32_t in_affinity_mask(void)
{
    for (size_t processors = 1024; processors <= 1 << 18; processors *= 4) {
        size_t bytes = CPU_ALLOC_SIZE(processors);
        cpu_set_t *mask = CPU_ALLOC(processors);
        if (!mask)
            return 0;
        int failed = sched_getaffinity(0, bytes, mask);
        int count = failed ? 0 : CPU_COUNT_S(bytes, mask);
        CPU_FREE(mask);
        if (!failed)
            return count;
    }
    return 0;
}

/* Reads the first line of a file, without its newline; returns 0 when there is none. */
static int read_line(char line[LINE_ROOM], const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int found = fgets(line, LINE_ROOM, file) != NULL;
    fclose(file);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}

static int32_t rounded_up(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return INT32_MAX;
    long long processors = quota / period + (quota % period != 0);
    return processors > INT32_MAX ? INT32_MAX : (int32_t)processors;
}

/* cpu.max holds "quota period" or "max period". */
static int32_t quota_v2(const char *group)
{
    char path[PATH_ROOM], line[LINE_ROOM];
    long long quota, period;
    sgti_format(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    if (!read_line(line, path) || sscanf(line, "%lld %lld", &quota, &period) != 2)
        return INT32_MAX;
    return rounded_up(quota, period);
}

static int32_t quota_v1(const char *group)
{
    char path[PATH_ROOM], quota[LINE_ROOM], period[LINE_ROOM];
    sgti_format(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", group);
    if (!read_line(quota, path))
        return INT32_MAX;
    sgti_format(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
    if (!read_line(period, path))
        return INT32_MAX;
    return rounded_up(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

/* Returns the smallest quota of a group and of all groups above it, and destroys `group` on the
 * way: the name is cut from its end, one part at a time. Groups that are not there count as without
 * a quota, since a container may see only the outermost ones. */
static int32_t smallest_quota(char *group, int32_t (*quota_of)(const char *))
{
    int32_t smallest = INT32_MAX;
    for (;;) {
        char *last = strrchr(group, '/');
        if (last && last[1] == '\0')
            *last = '\0';
        int32_t quota = quota_of(group);
        if (quota < smallest)
            smallest = quota;
        last = strrchr(group, '/');
        if (!last)
            return smallest;
        *last = '\0';
    }
}

static int has_controller(const char *controllers, const char *wanted)
{
    size_t length = strlen(wanted);
    for (const char *at = controllers; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && !strncmp(at, wanted, length))
            return 1;
    return 0;
}

/* /proc/self/cgroup has lines "number:controllers:group"; version 2 has no controllers. */
static int32_t in_group_quota(void)
{
    int32_t smallest = INT32_MAX;
    char line[PATH_ROOM];
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return smallest;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        int32_t quota = INT32_MAX;
        if (*controllers == '\0')
            quota = smallest_quota(group, quota_v2);
        else if (has_controller(controllers, "cpu"))
            quota = smallest_quota(group, quota_v1);
        if (quota < smallest)
            smallest = quota;
    }
    fclose(file);
    return smallest;
}

int32_t sgti_processors(void)
{
    int32_t count = in_affinity_mask();
    if (count < 1)
        count = online();
    int32_t quota = in_group_quota();
    return quota < count ? quota : count;
}

#else

int32_t sgti_processors(void)
{
    return online();
}

#endif
