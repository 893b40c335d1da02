/* SPDX-License-Identifier: BSD-2-Clause */
/* sanitized.h: defines SANITIZED in builds with a sanitizer, whose run-time
 * traces the process to look for leaks and reads the program to name functions:
 * the sandbox leaves it room for that. */
#ifndef SERVER_KEEPER_SANITIZED_H
#define SERVER_KEEPER_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#endif
