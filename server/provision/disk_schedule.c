/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_schedule.c: see disk_schedule.h. */
#include "config.h"

#include "provision/disk_schedule.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/disk_name.h"

#define LINE_SIZE 64
/* Of years with four digits. */
#define LATEST 253402300799

static int
format(const struct disk_schedule *schedule, char line[LINE_SIZE])
{
  const time_t when = (time_t)schedule->when;
  struct tm tm;
  char text[32];

  if (schedule->when < 0 || schedule->when > LATEST || !gmtime_r(&when, &tm))
    return -EINVAL;
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
  snprintf(line, LINE_SIZE, "promote %u at %s", schedule->number, text);
  return 0;
}

/* Only what would be written is read. */
int
disk_schedule_parse(const char *line, struct disk_schedule *schedule)
{
  char copy[LINE_SIZE], again[LINE_SIZE], number[11];
  const size_t len = strcspn(line, "\n");
  struct tm tm = { .tm_sec = 0 };
  struct disk_schedule said;

  *schedule = (struct disk_schedule){ .number = 0 };
  if (len >= sizeof copy || (line[len] && line[len + 1]))
    return -EINVAL;
  memcpy(copy, line, len);
  copy[len] = '\0';
  if (sscanf(copy, "promote %10[0-9] at %4d-%2d-%2dT%2d:%2d:%2dZ", number,
             &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
             &tm.tm_sec) != 7)
    return -EINVAL;
  tm.tm_year -= 1900;
  tm.tm_mon--;
  said = (struct disk_schedule){ disk_name_number(number), timegm(&tm) };
  if (said.number == 0 || format(&said, again) < 0 || strcmp(again, copy) != 0)
    return -EINVAL;
  *schedule = said;
  return 0;
}

int
disk_schedule_read(int folder, struct disk_schedule *schedule)
{
  char line[LINE_SIZE + 1];

  *schedule = (struct disk_schedule){ .number = 0 };
  const int fd = openat(folder, DISK_SCHEDULE,
                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    return errno == ENOENT ? 0 : -errno;
  const ssize_t n = read(fd, line, sizeof line - 1);
  const int sys = errno;
  close(fd);
  if (n < 0)
    return -sys;
  line[n] = '\0';
  return strlen(line) == (size_t)n ? disk_schedule_parse(line, schedule)
                                   : -EINVAL;
}

int
disk_schedule_write(const char *path, const struct disk_schedule *schedule,
                    struct vhd_error *err)
{
  struct vhd_output *output;
  char line[LINE_SIZE];

  if (format(schedule, line) < 0)
    return fail_argument(err,
                         "a time to promote a version at lies between the "
                         "years 1970 and 9999");
  int r = vhd_output_open(path, VHD_CREATE_OVERWRITE, &output, err);
  if (r < 0)
    return r;
  if (dprintf(vhd_output_fd(output), "%s\n", line) < 0)
    r = fail_system(err, errno, "%s", path);
  if (r == 0)
    r = vhd_output_commit(output, err);
  vhd_output_close(output);
  return r;
}
