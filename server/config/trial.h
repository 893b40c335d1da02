/* SPDX-License-Identifier: BSD-2-Clause */
/* trial.h: what could end this process, or keep it for ever, is first done by
 * another one, which nobody will miss.
 *
 * The main thread, while there is no other. */
#ifndef SERVER_CONFIG_TRIAL_H
#define SERVER_CONFIG_TRIAL_H

/* Does it come to an end within that time?  0; -ETIMEDOUT; -ECANCELED where it
 * ended the process; -errno where there is none to try it in. */
int trial_run(void (*run)(void *opaque), void *opaque, int msec);

#endif
