/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h: strings for people: safe ones, sizes, times.  Pure. */
#ifndef TOOL_TEXT_H
#define TOOL_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Makes a string safe to show in a terminal and valid UTF-8, in place: control
 * characters (C0, DEL, C1), characters that turn the direction of writing, and
 * bytes that are not UTF-8 become '?'. */
void text_sanitize(char *text);

/* The same, of a copy, which is the caller's to free; never NULL (aborts when
 * out of memory). */
char *text_safe(const char *text);

#define TEXT_SIZE 48

/* "10 GiB", "1.5 MiB", "512 B": exact or with one decimal, for people. */
char *text_size(uint64_t bytes, char *buf);
/* Prints such a line: what it is of, in a column, the size, and its bytes. */
void text_print_size(const char *label, uint64_t bytes);

/* "2026-11-23 06:33:28 UTC" */
char *text_time(int64_t seconds, char *buf);

/* The same in ISO 8601. */
char *text_iso_time(int64_t seconds, char *buf);

/* "5 s", "12 min 3 s", "2 h 10 min" */
char *text_duration(int64_t seconds, char *buf);

#endif
