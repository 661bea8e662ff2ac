/* The client's side of the control socket. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "control.h"
#include "run.h"

/* The answer is one byte. A stop of ours shuts the socket, which stops the command there. */
static enum err wait_answer(int fd, const struct env *env, int *exit_code, struct error *e)
{
	for (;;) {
		TRY(env_check(env, e));
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int n = poll(&p, 1, 100);
		if (n < 0 && errno != EINTR)
			return FAIL_ERRNO(e, ERR_UNAVAILABLE, "waiting for the command's end");
		if (n <= 0)
			continue;
		uint8_t code;
		ssize_t got = read(fd, &code, 1);
		if (got == 1) {
			*exit_code = code;
			return OK;
		}
		if (got < 0 && errno == EINTR)
			continue;
		return FAIL(e, ERR_UNAVAILABLE,
			"the process that holds the warehouse ended before the command did; run it again");
	}
}

static enum err send_request(int fd, int argc, char **argv, const char *config, struct error *e)
{
	char cwd[PATH_MAX], path[PATH_MAX];
	struct control_request r = {.argc = argc, .argv = argv, .env = environ};

	r.cwd = getcwd(cwd, sizeof cwd);
	if (r.cwd == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "finding the working directory");
	if (config != NULL && (r.config = realpath(config, path)) == NULL)
		return FAIL_ERRNO(e, ERR_USAGE, "finding the configuration file %s", config);
	return control_send_request(fd, &r, e);
}

enum err control_run(const char *url, int argc, char **argv, const char *config,
	const struct env *env, bool *served, int *exit_code, struct error *e)
{
	int fd = control_connect(url);
	*served = fd >= 0;
	if (fd < 0)
		return OK;
	enum err rc = send_request(fd, argc, argv, config, e);
	if (rc == OK)
		rc = wait_answer(fd, env, exit_code, e);
	if (rc == OK && *exit_code == RUN_NOT_HERE)
		*served = false;
	close(fd);
	return rc;
}
