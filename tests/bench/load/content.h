/* SPDX-License-Identifier: BSD-2-Clause
 *
 * content: what reads ought to return. Either a file holds it, or this run has
 * written it itself and kept a ledger. A difference ends the process with
 * FAIL_CONTENT and says where. One thread.
 */

#ifndef BENCH_LOAD_CONTENT_H
#define BENCH_LOAD_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- The same bytes in a file ------------------------------------------ */

struct reference;

struct reference *reference_open(const char *path);
void reference_close(struct reference *reference);

/* The N bytes of the export at OFFSET are DATA, or zeros if it is NULL. Past
 * the end of the file everything is expected to be zero. */
void reference_compare(const struct reference *reference, uint64_t offset,
                       const uint8_t *data, size_t n);

/* --- What we wrote ----------------------------------------------------- */

/* Each sector written names its own place, its writer (by seed) and its turn:
 * a misplaced, foreign or stale sector is told from a good one. */
struct ledger;

#define LEDGER_SECTOR 512

/* For COUNT blocks of BLOCK bytes from OFFSET; BLOCK is whole sectors. */
struct ledger *ledger_new(uint64_t offset, uint64_t count, uint32_t block,
                          uint32_t seed);
void ledger_free(struct ledger *ledger);

/* Is a write of block INDEX under way? Two at once have no defined result. */
bool ledger_is_busy(const struct ledger *ledger, uint64_t index);

/* A write of block INDEX begins: fill PAYLOAD with what to write. */
void ledger_begin(struct ledger *ledger, uint64_t index, uint8_t *payload);

/* It has ended; after a failure nothing is known of the block. */
void ledger_end(struct ledger *ledger, uint64_t index, bool good);

/* The first block at INDEX or after it whose content is known; the count of
 * blocks if there is none. */
uint64_t ledger_next(const struct ledger *ledger, uint64_t index);

/* As reference_compare(), within one known block. */
void ledger_compare(const struct ledger *ledger, uint64_t offset,
                    const uint8_t *data, size_t n);

#endif
