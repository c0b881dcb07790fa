#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "vmm/cli.h"

/*
 * What is opened next takes the number of a standard stream that was closed: a guest could
 * write its console into its disk, or read the image as input.
 */
static int open_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	if (open_streams() < 0)
		return 1;
	/* What is ignored stays so, and then no child's end can be waited for: signal(7). */
	signal(SIGCHLD, SIG_DFL);
	return cli_main(argc, argv);
}
