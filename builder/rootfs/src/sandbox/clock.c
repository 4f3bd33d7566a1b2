/* Asks for the time of day in every way, in a thread, in a child and after an exec, and prints each answer that is not the first argument's. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long expected;
static const char *where = "first";

static void check(const char *how, long seconds, long fraction) {
    if (seconds != expected || fraction != 0) {
        printf("%s %s: %ld.%ld\n", where, how, seconds, fraction);
        fflush(stdout);
    }
}

static void *ask(void *unused) {
    struct timespec t;
    struct timeval v;
    struct timezone z = {7, 7};
    clock_gettime(CLOCK_REALTIME, &t);
    check("clock_gettime", t.tv_sec, t.tv_nsec);
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    check("coarse", t.tv_sec, t.tv_nsec);
    clock_gettime(CLOCK_TAI, &t);
    check("tai", t.tv_sec, t.tv_nsec);
    timespec_get(&t, TIME_UTC);
    check("timespec_get", t.tv_sec, t.tv_nsec);
    gettimeofday(&v, NULL);
    check("gettimeofday", v.tv_sec, v.tv_usec);
    syscall(SYS_gettimeofday, &v, &z);
    check("gettimeofday call", v.tv_sec, z.tz_minuteswest);
    check("time", time(NULL), 0);
    time_t stored = 0;
    check("time returned", time(&stored), 0);
    check("time stored", stored, 0);
    return unused;
}

int main(int argc, char **argv) {
    expected = atol(argv[1]);
    where = argc > 2 ? argv[2] : "first";
    ask(NULL);
    if (argc > 2) return 0;
    pthread_t thread;
    where = "thread";
    pthread_create(&thread, NULL, ask, NULL);
    pthread_join(thread, NULL);
    where = "child";
    if (fork() == 0) { ask(NULL); _exit(0); }
    wait(NULL);
    if (vfork() == 0) execl(argv[0], argv[0], argv[1], "exec", NULL);
    wait(NULL);
    /* A clock that measures goes on, and a bad address is the program's own mistake. */
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    usleep(2000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (after.tv_sec == before.tv_sec && after.tv_nsec == before.tv_nsec) puts("the monotonic clock stands still");
    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, 8) == 0) puts("no EFAULT");
    puts("done");
    return 0;
}
