/* SPDX-License-Identifier: BSD-2-Clause */
/* say.h: what a client of fuzz_connection says: messages made from a few bytes
 * of input, and told to client.h together with what they deserve. */
#ifndef FUZZ_SAY_H
#define FUZZ_SAY_H

#include <stdint.h>

struct client;
struct fuzz_input;

/* Nothing is said where it would not be understood. */
void say_flags(struct client *c, uint32_t flags);
void say_simple_option(struct client *c, uint32_t code);
void say_go(struct client *c, unsigned name);
void say_export_name(struct client *c, unsigned name);
void say_all_contexts(struct client *c, unsigned name);
/* And TLS, of kind enum tls_kind. */
void say_starttls(struct client *c, unsigned kind);

/* Of an option: bits 0 to 3 which, 0x10: its answer is not waited for, 0x20: a
 * fault, which is in the input, 0x40: name is, too. */
void say_option(struct client *c, uint8_t step, struct fuzz_input *in,
                unsigned name);

/* Of a command: bits 0 to 2 which, 0x08: a fault, 0x10: its answer is not
 * waited for, 0x20: FUA, 0x40: a flag of its own. */
void say_command(struct client *c, uint8_t step, struct fuzz_input *in);

#endif
