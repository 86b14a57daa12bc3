/* A disk on which every sync takes longer: preload it, with the delay in microseconds in
 * SLOW_SYNC. Syncs of one process wait for each other only as far as the disk makes them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int fd) {
    int (*sync_really)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *delay = getenv("SLOW_SYNC");
    if (delay) usleep((useconds_t)atoi(delay));
    return sync_really(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
