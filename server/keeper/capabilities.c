/* SPDX-License-Identifier: BSD-2-Clause */
/* capabilities.c: see capabilities.h.  The C library has no wrappers for the
 * system calls. */
#include "config.h"

#include "keeper/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

#define BIT(capability) (UINT64_C(1) << (capability))

/* Other people's images, keys and sockets. */
#define FILES \
  (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER))
/* What a disk reserves for root; limits, rings' memory. */
#define RESOURCES (BIT(CAP_SYS_RESOURCE) | BIT(CAP_IPC_LOCK))

static const uint64_t kept[] = {
  [CAPABILITIES_KEEPER] = FILES | RESOURCES | BIT(CAP_SETUID) |
                          BIT(CAP_SETGID) | BIT(CAP_SYS_PTRACE),
  [CAPABILITIES_WORKER] = FILES | RESOURCES,
  [CAPABILITIES_HELPER] = FILES | BIT(CAP_SYS_PTRACE),
};

/* What a program that is started could have.  Without CAP_SETPCAP the set stays
 * as it is: there is nothing then that could be gained from it, for nobody
 * starts any with new privileges. */
static void
narrow_bounds(uint64_t keep)
{
  for (unsigned i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
    if (!(keep & BIT(i)))
      prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

/* Takes away what is not to be kept; whether there was any. */
static bool
narrow(struct __user_cap_data_struct *data, uint64_t keep)
{
  bool any = false;

  for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
    const uint32_t bits = (uint32_t)(keep >> (32 * i));
    any |= data[i].permitted & ~bits || data[i].inheritable;
    data[i].permitted &= bits;
    data[i].effective &= bits;
    data[i].inheritable = 0;
  }
  return any;
}

int
capabilities_keep(enum capabilities which, struct vhd_error *err)
{
  struct __user_cap_header_struct header = {
    .version = _LINUX_CAPABILITY_VERSION_3,
  };
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  long r = syscall(SYS_capget, &header, data);

  narrow_bounds(kept[which]);
  /* Who has none may have been forbidden to ask, by a filter of systemd's. */
  if (r == 0 && narrow(data, kept[which]))
    r = syscall(SYS_capset, &header, data);
  return r < 0 ? fail_system(err, errno, "cannot give up capabilities") : 0;
}
