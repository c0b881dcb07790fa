/*
 * first PATTERN COMMAND...: runs the command and prints the nanoseconds from just before its exec to the first piece of
 * output that completes PATTERN; then waits for its end. Status 1 if the pattern never came.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
	static char output[1 << 20];
	size_t used = 0;
	long long start, seen = 0;
	int pipes[2], status;
	ssize_t count;
	pid_t child;

	if (argc < 3 || pipe(pipes) < 0)
		return 2;
	start = now_ns();
	child = fork();
	if (child < 0)
		return 2;
	if (!child) {
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	close(pipes[1]);
	while ((count = read(pipes[0], output + used, sizeof(output) - used)) > 0) {
		used += (size_t)count;
		if (!seen && memmem(output, used, argv[1], strlen(argv[1])))
			seen = now_ns() - start;
		if (seen || used == sizeof(output))
			used = 0;
	}
	waitpid(child, &status, 0);
	if (!seen)
		return 1;
	printf("%lld\n", seen);
	return 0;
}
