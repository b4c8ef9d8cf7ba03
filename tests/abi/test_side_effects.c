/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that leaves no traces: the state of the process is written down before the library is
 * loaded, after that, after a training with growth and a checkpoint, and after the library was
 * unloaded. All four must say the same.
 *
 *     test_side_effects LIBRARY MODULE      the shared library, and embedded_training.c beside it
 *
 * A program of its own, without Check, whose forks and handlers would be in the way.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "embedded_training.h"

#define SNAPSHOT_BYTES 65536

extern char **environ;

typedef struct snapshot {
    char text[SNAPSHOT_BYTES];
    size_t used;
} snapshot;

static snapshot before, now;

__attribute__((format(printf, 2, 3))) static void note(snapshot *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof s->text - s->used;
    int written = vsnprintf(s->text + s->used, room, format, arguments);
    va_end(arguments);
    if (written < 0 || (size_t)written >= room) {
        fprintf(stderr, "the snapshot has too little room\n");
        exit(1);
    }
    s->used += (size_t)written;
}

/* ---- what a library could change ---- */

/* Rounding, flushing to zero, exceptions that trap; not which exceptions have occurred. */
static void note_floating_point(snapshot *s)
{
    note(s, "rounding %d\n", fegetround());
#if defined(__SSE__)
    note(s, "MXCSR %#x\n", _mm_getcsr() & ~0x3fu);
#endif
#if defined(__x86_64__) || defined(__i386__)
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    note(s, "x87 control word %#x\n", word);
#elif defined(__aarch64__)
    uint64_t word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    note(s, "FPCR %#llx\n", (unsigned long long)word);
#endif
}

static void note_locale(snapshot *s)
{
    const struct lconv *convention = localeconv();
    note(s, "locale %s, point '%s', grouping '%s'\n", setlocale(LC_ALL, NULL),
         convention->decimal_point, convention->thousands_sep);
    note(s, "locale of the thread %p\n", (void *)uselocale((locale_t)0));
}

static void note_signals(snapshot *s)
{
    sigset_t mask;
    stack_t stack;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigaltstack(NULL, &stack);
    note(s, "stack of signals %p %d\n", stack.ss_sp, stack.ss_flags);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action))
            continue;
        note(s, "signal %d: handler %p flags %#x blocked %d\n", number,
             (void *)(uintptr_t)action.sa_sigaction, (unsigned)action.sa_flags,
             sigismember(&mask, number));
    }
}

static void note_environment(snapshot *s)
{
    note(s, "environment %p\n", (void *)environ);
    for (char **entry = environ; *entry; entry++)
        note(s, "%s\n", *entry);
}

static void note_descriptors(snapshot *s)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[64], target[512];
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(folder))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        /* The place in the file: nothing was printed. */
        note(s, "descriptor %d: %s flags %#x at %lld\n", number, target,
             (unsigned)fcntl(number, F_GETFL), (long long)lseek(number, 0, SEEK_CUR));
    }
    closedir(folder);
}

static int count_threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void note_process(snapshot *s)
{
    char folder[512] = "", name[32] = "";
    cpu_set_t processors;
    mode_t mask = umask(0);
    umask(mask);
    CPU_ZERO(&processors);
    sched_getaffinity(0, sizeof processors, &processors);
    prctl(PR_GET_NAME, name);
    note(s, "folder %s\n", getcwd(folder, sizeof folder));
    note(s, "umask %o, nice %d, scheduler %d, processors %d, name %s\n", (unsigned)mask,
         getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), CPU_COUNT(&processors), name);
    note(s, "personality %#x, dumpable %d\n", (unsigned)personality(0xffffffff),
         prctl(PR_GET_DUMPABLE));
    for (int kind = ITIMER_REAL; kind <= ITIMER_PROF; kind++) {
        struct itimerval timer;
        getitimer(kind, &timer);
        note(s, "timer %d: %d\n", kind, timer.it_value.tv_sec || timer.it_value.tv_usec);
    }
    for (int kind = RLIMIT_CPU; kind <= RLIMIT_NOFILE; kind++) {
        struct rlimit limit;
        getrlimit(kind, &limit);
        note(s, "limit %d: %llu %llu\n", kind, (unsigned long long)limit.rlim_cur,
             (unsigned long long)limit.rlim_max);
    }
    errno = 0;
    note(s, "children %d\n", waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1);
}

static void take(snapshot *s)
{
    s->used = 0;
    note_floating_point(s);
    note_locale(s);
    note_signals(s);
    note_environment(s);
    note_descriptors(s);
    note(s, "threads %d\n", count_threads());
    note_process(s);
}

/* ---- comparing ---- */

static int failures;
static int threads_before; /* 1, but for what an emulator or a sanitizer starts */

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    failures++;
}

/* A thread that has ended may be listed for a moment longer. */
static void settle(void)
{
    for (int i = 0; i < 200 && count_threads() > threads_before; i++)
        usleep(10000);
}

static void compare(const char *when)
{
    settle();
    take(&now);
    const char *a = before.text, *b = now.text;
    while (*a || *b) {
        size_t m = strcspn(a, "\n"), n = strcspn(b, "\n");
        if (m != n || memcmp(a, b, m)) {
            fprintf(stderr, "%s: \"%.*s\" became \"%.*s\"\n", when, (int)m, a, (int)n, b);
            failures++;
        }
        a += m + (a[m] == '\n');
        b += n + (b[n] == '\n');
    }
}

static void *load(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return handle;
}

static int is_mapped(const char *name)
{
    char line[1024];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        found |= strstr(line, name) != NULL;
    if (maps)
        fclose(maps);
    return found;
}

/* ---- a thread of the host's that outlives the library ---- */

static embedded_failure_fn failing_call;
static sem_t used, unloaded;

static void *outlive(void *argument)
{
    *(int *)argument = failing_call();
    sem_post(&used);
    sem_wait(&unloaded);
    return NULL; /* whatever the library kept for this thread is given up now */
}

static void train(void *module, const char *path)
{
    embedded_training_fn training;
    void *symbol = dlsym(module, "embedded_training");
    memcpy(&training, &symbol, sizeof training);
    srand(7);
    int expected = rand();
    srand(7);
    int most = training(path, count_threads);
    if (most < 0)
        fail("the training failed");
    if (most >= 0 && most <= threads_before)
        fail("the training started no thread: nothing was tried");
    if (rand() != expected)
        fail("the training used the host's random numbers");
    unlink(path);
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/sgt-side-effects-XXXXXX";
    int ok = 0;
    pthread_t thread;
    if (argc != 3) {
        fprintf(stderr, "usage: test_side_effects LIBRARY MODULE\n");
        return 1;
    }
    threads_before = count_threads();
    if (threads_before == 0) {
        printf("skipped: no /proc\n");
        return 77;
    }
    int scratch = mkstemp(path);
    close(scratch);
    /* Neither are settings of the host's own reset. */
    setlocale(LC_ALL, "C.UTF-8");
    fesetround(FE_UPWARD);
    take(&before);

    void *library = load(argv[1]);
    compare("loading the library");
    void *module = load(argv[2]);
    train(module, path);
    compare("training");

    sem_init(&used, 0, 0);
    sem_init(&unloaded, 0, 0);
    void *symbol = dlsym(module, "embedded_failure");
    memcpy(&failing_call, &symbol, sizeof failing_call);
    if (pthread_create(&thread, NULL, outlive, &ok) == 0)
        sem_wait(&used);
    dlclose(module);
    dlclose(library);
    if (is_mapped("libsgt.so"))
        fail("the library is still mapped");
    sem_post(&unloaded);
    pthread_join(thread, NULL);
    if (!ok)
        fail("a call that should fail did not");
    compare("unloading the library");

    module = load(argv[2]); /* and back again */
    train(module, path);
    dlclose(module);
    compare("a second time");
    if (failures == 0)
        printf("%zu bytes of state, unchanged\n", before.used);
    return failures != 0;
}
