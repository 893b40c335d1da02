/* SPDX-License-Identifier: BSD-2-Clause */
/* keeper.h: the keeper: the process that was started.  It holds what must
 * neither be given up nor be in reach of what a client sends: the listening
 * sockets, the pid file, the rights of the start.  It parses nothing but the
 * administrator's configuration; everything that does is another process, the
 * worker, which the keeper starts, and starts again when it dies.
 *
 *   keeper                                  worker
 *     fork() ---------------------------->    prepares, gives its rights up
 *            <---------------- KEEPER_READY   opens images
 *     pid file, READY=1                       accepts
 *     SIGHUP  reads the configuration
 *             KEEPER_RELOAD ------------->    loads keys again, changes exports
 *             <----- KEEPER_ASK_RELOAD, _STOP  as if by such a signal
 *     SIGTERM KEEPER_STOP --------------->    finishes, flushes, ends
 *     ends with its status <--------------
 *
 *                                             asks for a helper
 *     fork() of the helper <--------------
 *             a channel to it ----------->    has it open files
 *
 * The keeper is one thread, and waits for nothing but signals and these
 * words and texts: no disk of images that hangs holds it up, for what opens
 * those is a process of its own, too (broker/helper.h).  And each of them is
 * forked from a process without threads.  When the keeper dies, however, the
 * kernel kills them all: nobody serves, or holds an image's lock, whom nobody
 * can stop. */
#ifndef SERVER_KEEPER_KEEPER_H
#define SERVER_KEEPER_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#define KEEPER_MAX_TEXT 1024 /* of trouble */

enum keeper_word {
  KEEPER_READY = 'R',      /* of the worker: it serves */
  KEEPER_STATUS = 'T',     /* of the worker, with text: what troubles it */
  KEEPER_REVOKES = 'V',    /* of the worker: it has a list of revocations */
  KEEPER_STOP = 'S',       /* to the worker: everything is to be finished */
  KEEPER_ASK_STOP = 's',   /* of the worker: as SIGTERM and SIGHUP, */
  KEEPER_ASK_RELOAD = 'l', /* for somebody who waits for the answer */
  KEEPER_RELOAD = 'L',     /* to the worker: keys may have changed; with what
                        * .reload() has come to */
};

/* What the configuration has come to when it was read again. */
struct keeper_reading {
  int fd;                     /* for the worker; -1: none */
  bool wrong;                 /* all is as before; .text says why */
  char text[KEEPER_MAX_TEXT]; /* else what is to be said about it, or "" */
};

/* What a worker hears. */
struct keeper_heard {
  int word;                      /* 0: nothing */
  bool asked;                    /* a RELOAD that the worker has asked for */
  struct keeper_reading reading; /* .fd, of any word, is the caller's to close;
                                  * -EMFILE: there was no room for it */
};

/* What a worker is given. */
struct keeper_ties {
  pid_t keeper;
  int control; /* carries words both ways; at its end there is no keeper */
  int asks;    /* asks for helpers: broker/message.h */
  /* Of the workers before it: */
  bool replaces; /* one of them has served */
  bool revokes;  /* KEEPER_REVOKES */
};

struct keeper_duties {
  void *opaque;
  /* In the worker: serves, and gives everything back.  What it returns is the
   * worker's exit status: 0 after an orderly end, which somebody asked for, or
   * for want of clients where there is but .once. */
  int (*work)(void *opaque, const struct keeper_ties *ties);
  /* In a helper, which ends thereafter: serves the worker by the channel.  kind
   * is what the worker said. */
  void (*help)(void *opaque, const struct keeper_ties *ties, int channel,
               int kind);
  /* In the keeper, each at most once: clients are served; nobody new is to
   * come. */
  void (*ready)(void *opaque);
  void (*stopping)(void *opaque);
  /* In the keeper, at SIGHUP, or as a worker asks: fills *reading. */
  void (*reload)(void *opaque, struct keeper_reading *reading);
  /* In the keeper: what the worker has told, which may be anything; "" when
   * the next one is ready without having told of trouble. */
  void (*trouble)(void *opaque, const char *text);
  /* In the keeper, at the very end and before a signal ends it: removes what
   * others would find. */
  void (*tidy)(void *opaque);
  bool once; /* a dead worker's clients cannot come again */
};

/* Until the worker has ended for good; returns the exit status.  SIGTERM and
 * SIGINT are those of the caller's process, blocked since
 * keeper_hold_signals(). */
int keeper_run(const struct keeper_duties *duties);

/* Signals wait for keeper_run() from now on.  First of all. */
void keeper_hold_signals(void);

/* In the worker or a helper: lets the kernel kill it with the keeper.  Again
 * after a change of the user, which ends that. */
void keeper_tie(const struct keeper_ties *ties);

/* In the keeper: KEEPER_RELOAD, by the other end of .control.  0 or -errno. */
int keeper_tell_reload(int control, bool asked,
                       const struct keeper_reading *reading);

/* In the worker. */
void keeper_say(const struct keeper_ties *ties, enum keeper_word word);
/* KEEPER_STATUS; "": nothing does any more.  What is too long is cut. */
void keeper_tell(const struct keeper_ties *ties, const char *trouble);
/* A word that has come, if one has.  Does not return where the keeper is
 * dead. */
int keeper_hear(const struct keeper_ties *ties, struct keeper_heard *heard);

#endif
