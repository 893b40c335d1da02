/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nbd-load: an NBD client that puts load on a server and measures it. This file
 * only strings the parts together:
 *
 *   options -> load -> report
 *              load -> requests -> conn -> handshake, wire, stream -> tls
 *                      requests -> content, histogram
 *              load -> cpu
 */

#include "config.h"

#include <signal.h>

#include "fail.h"
#include "load.h"
#include "options.h"
#include "report.h"

static void
tell(const struct options *options, const struct result *result)
{
  if (options->operation->kind == OPERATION_IDLE)
    report_ready(options, result);
  else
    report_result(options, result);
}

int
main(int argc, char **argv)
{
  static struct result result;
  struct options options;

  signal(SIGPIPE, SIG_IGN);
  options_parse(&options, argc, argv);
  load_run(&options, &result, tell);
  if (result.errors)
    fail(FAIL_REPLIES, "the server refused %llu requests, the first with "
         "error %u", (unsigned long long)result.errors, result.first_error);
  return 0;
}
