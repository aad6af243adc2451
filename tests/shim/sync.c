/*
 * Disturbs the syncs of one process, to be preloaded (LD_PRELOAD) into it by tests/nemesis
 * and tests/bench.
 *
 * While the file that SYNC_SHIM names exists, it says what happens to fsync and fdatasync:
 * "fail" lets them fail with EIO, "slow N" lets them take N milliseconds longer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int synced(const char *name, int fd)
{
	const char *path = getenv("SYNC_SHIM");
	char order[32] = "";
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (file >= 0) {
		if (read(file, order, sizeof(order) - 1) < 0)
			order[0] = '\0';
		close(file);
	}
	if (strncmp(order, "fail", 4) == 0) {
		errno = EIO;
		return -1;
	}
	if (strncmp(order, "slow ", 5) == 0) {
		long ms = atol(order + 5);
		struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

		nanosleep(&pause, NULL);
	}
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	return real(fd);
}

int fsync(int fd)
{
	return synced("fsync", fd);
}

int fdatasync(int fd)
{
	return synced("fdatasync", fd);
}
