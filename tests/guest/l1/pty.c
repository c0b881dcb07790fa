/*
 * pty COLUMNSxROWS COMMAND...: runs the command on a terminal of its own of that size, with our input and output. Says
 * on stderr whether the terminal's settings are at the end what they were; exits with the command's status.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

static void copy_until_end(int terminal, pid_t child, int *status)
{
	struct pollfd from[] = {
	        {.fd = terminal, .events = POLLIN},
	        {.fd = STDIN_FILENO, .events = POLLIN},
	};
	char bytes[4096];

	for (;;) {
		int ready = poll(from, 2, 100);

		if (from[0].revents & POLLIN) {
			ssize_t count = read(terminal, bytes, sizeof(bytes));

			if (count > 0 && write(STDOUT_FILENO, bytes, (size_t)count) < 0)
				return;
		}
		if (from[1].revents) {
			ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));

			if (count <= 0)
				from[1].fd = -1;
			else if (write(terminal, bytes, (size_t)count) < 0)
				return;
		}
		if (ready == 0 && waitpid(child, status, WNOHANG) == child)
			return;
	}
}

int main(int argc, char **argv)
{
	struct winsize size = {0};
	struct termios before, after;
	int terminal, slave, status = 0;
	pid_t child;

	if (argc < 3 || sscanf(argv[1], "%hux%hu", &size.ws_col, &size.ws_row) != 2)
		return 2;
	if (openpty(&terminal, &slave, NULL, NULL, &size) < 0)
		return 2;
	/* All bytes are compared, those that are nobody's, too. */
	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	tcgetattr(slave, &before);
	child = fork();
	if (child < 0)
		return 2;
	if (!child) {
		login_tty(slave);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	copy_until_end(terminal, child, &status);
	tcgetattr(slave, &after);
	fprintf(stderr, "terminal %s\n",
	        memcmp(&before, &after, sizeof(before)) ? "changed" : "restored");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
