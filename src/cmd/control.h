/*
 * control: one embedded warehouse has one process; commands of other processes run inside it.
 *
 * The holder listens on a Unix socket beside the warehouse file (FILE.sock, mode 0600). A client
 * sends its arguments with its own stdin, stdout and stderr as descriptors, and receives the exit
 * code; what the command prints goes straight to the client's terminal or pipe. When the client
 * goes away its command is asked to stop. The command runs with the client's configuration: its
 * file, its SLUICE_* variables, its working directory.
 *
 * On the socket: one message {"argv":[...],"config":"/path"|null,"cwd":"/path","env":[...]} with
 * three descriptors (SCM_RIGHTS), answered by one byte, the exit code, when the command has ended.
 */
#ifndef SLUICE_CONTROL_H
#define SLUICE_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "env.h"
#include "err.h"

#define CONTROL_FDS 3

struct shared;
struct control_server;

/* Starts listening for the warehouse of that URL. A URL that is not embedded gives OK and
 * *out NULL. Only the process that has the warehouse open may call it. */
enum err control_server_start(struct control_server **out, struct shared *shared, const char *url,
	struct error *e) MUST_CHECK;
/* Waits for the commands that run; removes the socket. NULL is fine. */
void control_server_stop(struct control_server *s);

/* Runs argv in the process that holds the warehouse, with the configuration file (NULL: there is
 * none) and this process's environment. *served is false when nobody holds it,
 * or the command must not run there. */
enum err control_run(const char *url, int argc, char **argv, const char *config,
	const struct env *env, bool *served, int *exit_code, struct error *e) MUST_CHECK;

/* Opens a listening or a connected socket at the path beside the warehouse; -1 with errno. */
int control_listen(const char *url);
int control_connect(const char *url);
void control_unlink(const char *url);

/* What a client sends. What was received is owned by the struct, but for the descriptors. */
struct control_request {
	int argc;
	char **argv;          /* NULL-terminated */
	char *config;         /* absolute path; NULL when the client has no file */
	char *cwd;            /* where relative paths of the client start */
	char **env;           /* its variables "SLUICE_...=value"; NULL-terminated */
	int fds[CONTROL_FDS]; /* its stdin, stdout, stderr; -1 until received */
};

/* Sends argv, config, cwd and the SLUICE_* variables among env, with our own three streams. */
enum err control_send_request(int fd, const struct control_request *r, struct error *e) MUST_CHECK;
/* Waits for it at most five seconds, and no longer than until *closing (which may be NULL). On
 * OK free *out, and close its descriptors. */
enum err control_receive_request(int fd, const atomic_bool *closing, struct control_request *out,
	struct error *e) MUST_CHECK;
void control_free_request(struct control_request *r);

#endif
