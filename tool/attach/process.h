/* SPDX-License-Identifier: BSD-2-Clause */
/* process.h: processes that outlive the tool, and those that it waits for.  A
 * process is known by its id and the time it began, so that one that got the
 * id of another is neither taken for it nor signalled. */
#ifndef TOOL_ATTACH_PROCESS_H
#define TOOL_ATTACH_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
  pid_t pid;      /* 0: none */
  uint64_t start; /* as in /proc/PID/stat: ticks since boot */
};

/* The path of a program, to be freed: what the environment variable says (NULL:
 * none), else where ours are installed, else in PATH and the folders of the
 * system's programs.  Complains and returns NULL where there is none. */
char *process_find(const char *name, const char *variable);
bool process_is_there(const char *name);

/* Makes a daemon, which waits: in a session of its own, with nothing open but
 * the log as its output.  notify: its NOTIFY_SOCKET, or NULL.  It begins when a
 * byte is written to *go, and ends when that is closed without: so whoever
 * writes down first what it has made never leaves one that nobody knows of.
 * Complains and returns -1 where that fails. */
int process_prepare(const char *const *argv, int log, const char *notify,
                    struct process *process, int *go);
/* Lets it begin, and closes go. */
void process_begin(int go);

/* A pidfd, or -1 where it has gone; one that is dead but has not been waited
 * for has gone. */
int process_open(const struct process *process);
bool process_is_alive(const struct process *process);

/* Sends it a signal (0: none) and waits for its end; false if it is there
 * still.  A process that there is not has ended. */
bool process_end(const struct process *process, int sig, int milliseconds);

/* Runs a program to its end; the first of what it says goes to text.  Returns
 * its exit status, or -1. */
int process_run(const char *const *argv, char *text, size_t size);

#endif
