# Full and failing file systems: real ones, and each I/O that can fail.  make
# check takes a selection; make check-fs all of it (root, 3 minutes).
# See tests/local.mk for how to add a test.

check_PROGRAMS += tests/fs/faults
tests_fs_faults_CPPFLAGS = $(AM_CPPFLAGS) $(PUBLIC_CPPFLAGS) \
	-I$(top_srcdir)/tests/fs
tests_fs_faults_LDADD = lib/libvhdkit.la
tests_fs_faults_SOURCES = \
	tests/fs/disk.c \
	tests/fs/disk.h \
	tests/fs/faults.c \
	tests/fs/inject.c \
	tests/fs/inject.h \
	tests/fs/model.c \
	tests/fs/model.h \
	tests/fs/setup.c \
	tests/fs/setup.h

check_PROGRAMS += tests/fs/full
tests_fs_full_CPPFLAGS = $(AM_CPPFLAGS) $(PUBLIC_CPPFLAGS) \
	-I$(top_srcdir)/tests/fs
tests_fs_full_LDADD = lib/libvhdkit.la
tests_fs_full_SOURCES = \
	tests/fs/disk.c \
	tests/fs/disk.h \
	tests/fs/full.c \
	tests/fs/model.c \
	tests/fs/model.h

dist_check_SCRIPTS += tests/fs/test-fs.py
TESTS += tests/fs/test-fs.py

.PHONY: check-fs
check-fs:
	FS_WHOLE=1 TEST_TIMEOUT=3600 $(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS=tests/fs/test-fs.py
