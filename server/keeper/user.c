/* SPDX-License-Identifier: BSD-2-Clause */
/* user.c: changing user and group; see user.h. */
#include "config.h"

#include "keeper/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static bool
parse_id(const char *text, unsigned *id)
{
  char *end;
  if (*text == '\0' || strspn(text, "0123456789") != strlen(text))
    return false;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  *id = (unsigned)value;
  return errno == 0 && value < (unsigned)-1;
}

static int
find_user(const char *name, struct user *user, struct vhd_error *err)
{
  unsigned id;
  const struct passwd *pw = getpwnam(name);
  if (pw) {
    user->uid = pw->pw_uid;
    user->gid = pw->pw_gid;
  } else if (parse_id(name, &id)) {
    user->uid = id;
    pw = getpwuid(id);
    user->gid = pw ? pw->pw_gid : id;
  } else {
    return fail_argument(err, "--user: there is no user '%s'", name);
  }
  return 0;
}

int
user_find_group(const char *option, const char *group, gid_t *gid,
                struct vhd_error *err)
{
  unsigned id;
  const struct group *gr = getgrnam(group);
  if (gr)
    *gid = gr->gr_gid;
  else if (parse_id(group, &id))
    *gid = id;
  else
    return fail_argument(err, "--%s: there is no group '%s'", option, group);
  return 0;
}

int
user_find(const char *name, const char *group, struct user *user,
          struct vhd_error *err)
{
  *user = (struct user){ (uid_t)-1, (gid_t)-1 };
  int r = name ? find_user(name, user, err) : 0;
  if (r == 0 && name && group)
    r = user_find_group("group", group, &user->gid, err);
  /* A unit file may say both User= and --user: that is fine. */
  if (r == 0 && name && geteuid() != 0 &&
      (geteuid() != user->uid || getegid() != user->gid))
    r = fail_argument(err, "--user: only root can become another user");
  return r;
}

int
user_become(const struct user *user, struct vhd_error *err)
{
  if (user->uid == (uid_t)-1 || geteuid() != 0)
    return 0; /* we are already: user_find() has seen to that */
  if (setgroups(0, NULL) < 0 ||
      setresgid(user->gid, user->gid, user->gid) < 0 ||
      setresuid(user->uid, user->uid, user->uid) < 0) {
    return fail_system(err, errno, "cannot become user %ld, group %ld",
                       (long)user->uid, (long)user->gid);
  }
  if (user->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
    return fail_argument(err, "--user: the way back to root is still open");
  return 0;
}
