# What is done to the versions and children of disks, cut off at each call.
# See tests/local.mk for how to add a test.

check_PROGRAMS += tests/provision/provision
tests_provision_provision_CPPFLAGS = $(UNIT_CPPFLAGS) \
	-I$(top_srcdir)/tests/provision
tests_provision_provision_CFLAGS = $(AM_CFLAGS) -U_FORTIFY_SOURCE
tests_provision_provision_LDADD = server/libserver.la lib/libvhdkit-core.la
tests_provision_provision_SOURCES = \
	tests/provision/death.c \
	tests/provision/death.h \
	tests/provision/place.c \
	tests/provision/place.h \
	tests/provision/provision.c

TESTS += tests/provision/provision
