#include <fcntl.h>
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
	return open_streams() < 0 ? 1 : cli_main(argc, argv);
}
