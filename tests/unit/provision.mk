# Unit tests of disks with versions; included by local.mk.

if HAVE_CMOCKA

PROVISION_LIBS = server/libserver.la lib/libvhdkit.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test-client-id tests/unit/test-disk-name \
	tests/unit/test-rules
TESTS += tests/unit/test-client-id tests/unit/test-disk-name \
	tests/unit/test-rules
tests_unit_test_client_id_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_client_id_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_client_id_LDADD = $(PROVISION_LIBS)
tests_unit_test_client_id_SOURCES = tests/unit/test-client-id.c \
	$(UNIT_COMMON)
tests_unit_test_disk_name_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_disk_name_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_disk_name_LDADD = $(PROVISION_LIBS)
tests_unit_test_disk_name_SOURCES = tests/unit/test-disk-name.c \
	$(UNIT_COMMON)
tests_unit_test_rules_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_rules_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_rules_LDADD = $(PROVISION_LIBS)
tests_unit_test_rules_SOURCES = tests/unit/test-rules.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-change
TESTS += tests/unit/test-change
tests_unit_test_change_CPPFLAGS = $(UNIT_CPPFLAGS) \
	-I$(top_srcdir)/tests/provision
tests_unit_test_change_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_change_LDADD = $(PROVISION_LIBS)
tests_unit_test_change_SOURCES = tests/unit/test-change.c \
	tests/provision/place.c tests/provision/place.h $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-parcel
TESTS += tests/unit/test-parcel
tests_unit_test_parcel_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_parcel_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_parcel_LDADD = $(PROVISION_LIBS)
tests_unit_test_parcel_SOURCES = tests/unit/test-parcel.c $(UNIT_COMMON)

endif
