# Unit tests (cmocka, TAP): what each part of the library and of the server's
# protocol does by itself, without files or sockets where that is possible.
# See tests/local.mk for how to add a test.

UNIT_COMMON = tests/unit/unit.c tests/unit/unit.h tests/unit/field.h
UNIT_FORGE = tests/unit/forge.c tests/unit/forge.h
UNIT_MACHINE = tests/unit/crew.c tests/unit/crew.h
UNIT_HOSTILE = tests/unit/hostile.c tests/unit/hostile.h $(UNIT_FORGE)
UNIT_NAMED = tests/unit/named.c tests/unit/named.h
UNIT_DISK = tests/unit/disk.c tests/unit/disk.h

if HAVE_CMOCKA

check_PROGRAMS += tests/unit/test-bytes
TESTS += tests/unit/test-bytes
tests_unit_test_bytes_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_bytes_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bytes_LDADD = $(UNIT_LIBS)
tests_unit_test_bytes_SOURCES = tests/unit/test-bytes.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-bitmap
TESTS += tests/unit/test-bitmap
tests_unit_test_bitmap_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_bitmap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bitmap_LDADD = $(UNIT_LIBS)
tests_unit_test_bitmap_SOURCES = tests/unit/test-bitmap.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-budget
TESTS += tests/unit/test-budget
tests_unit_test_budget_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_budget_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_budget_LDADD = $(UNIT_LIBS)
tests_unit_test_budget_SOURCES = tests/unit/test-budget.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-machine
TESTS += tests/unit/test-machine
tests_unit_test_machine_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_machine_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_machine_LDADD = $(UNIT_LIBS)
tests_unit_test_machine_SOURCES = tests/unit/test-machine.c $(UNIT_COMMON) \
	$(UNIT_MACHINE)

check_PROGRAMS += tests/unit/test-steps
TESTS += tests/unit/test-steps
tests_unit_test_steps_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_steps_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_steps_LDADD = $(UNIT_LIBS)
tests_unit_test_steps_SOURCES = tests/unit/test-steps.c $(UNIT_COMMON) \
	$(UNIT_MACHINE)

check_PROGRAMS += tests/unit/test-limit
TESTS += tests/unit/test-limit
tests_unit_test_limit_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_limit_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_limit_LDADD = $(UNIT_LIBS)
tests_unit_test_limit_SOURCES = tests/unit/test-limit.c $(UNIT_COMMON) \
	$(UNIT_MACHINE)

check_PROGRAMS += tests/unit/test-wakes
TESTS += tests/unit/test-wakes
tests_unit_test_wakes_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_wakes_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_wakes_LDADD = $(UNIT_LIBS)
tests_unit_test_wakes_SOURCES = tests/unit/test-wakes.c $(UNIT_COMMON) \
	$(UNIT_MACHINE)

check_PROGRAMS += tests/unit/test-syncs
TESTS += tests/unit/test-syncs
tests_unit_test_syncs_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_syncs_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_syncs_LDADD = $(UNIT_LIBS)
tests_unit_test_syncs_SOURCES = tests/unit/test-syncs.c $(UNIT_COMMON) \
	$(UNIT_MACHINE)

check_PROGRAMS += tests/unit/test-patched
TESTS += tests/unit/test-patched
tests_unit_test_patched_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_patched_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_patched_LDADD = $(UNIT_LIBS)
tests_unit_test_patched_SOURCES = tests/unit/test-patched.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-redo
TESTS += tests/unit/test-redo
tests_unit_test_redo_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_redo_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_redo_LDADD = $(UNIT_LIBS)
tests_unit_test_redo_SOURCES = tests/unit/test-redo.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-redo-open
TESTS += tests/unit/test-redo-open
tests_unit_test_redo_open_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_redo_open_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_redo_open_LDADD = $(UNIT_LIBS)
tests_unit_test_redo_open_SOURCES = tests/unit/test-redo-open.c \
	$(UNIT_COMMON) $(UNIT_DISK)

check_PROGRAMS += tests/unit/test-dsync
TESTS += tests/unit/test-dsync
tests_unit_test_dsync_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_dsync_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_dsync_LDADD = $(UNIT_LIBS)
tests_unit_test_dsync_SOURCES = tests/unit/test-dsync.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-fdatasync
TESTS += tests/unit/test-fdatasync
tests_unit_test_fdatasync_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_fdatasync_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fdatasync_LDADD = $(UNIT_LIBS)
tests_unit_test_fdatasync_SOURCES = tests/unit/test-fdatasync.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-bat
TESTS += tests/unit/test-bat
tests_unit_test_bat_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_bat_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bat_LDADD = $(UNIT_LIBS)
tests_unit_test_bat_SOURCES = tests/unit/test-bat.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-children
TESTS += tests/unit/test-children
tests_unit_test_children_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_children_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_children_LDADD = $(UNIT_LIBS)
tests_unit_test_children_SOURCES = tests/unit/test-children.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-slots
TESTS += tests/unit/test-slots
tests_unit_test_slots_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_slots_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_slots_LDADD = $(UNIT_LIBS)
tests_unit_test_slots_SOURCES = tests/unit/test-slots.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-journal
TESTS += tests/unit/test-journal
tests_unit_test_journal_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_journal_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_journal_LDADD = $(UNIT_LIBS)
tests_unit_test_journal_SOURCES = tests/unit/test-journal.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-journal-file
TESTS += tests/unit/test-journal-file
tests_unit_test_journal_file_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_journal_file_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_journal_file_LDADD = $(UNIT_LIBS)
tests_unit_test_journal_file_SOURCES = tests/unit/test-journal-file.c \
	$(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-replay
TESTS += tests/unit/test-replay
tests_unit_test_replay_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_replay_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_replay_LDADD = $(UNIT_LIBS)
tests_unit_test_replay_SOURCES = tests/unit/test-replay.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-vhdx
TESTS += tests/unit/test-vhdx
tests_unit_test_vhdx_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_vhdx_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_vhdx_LDADD = $(UNIT_LIBS)
tests_unit_test_vhdx_SOURCES = tests/unit/test-vhdx.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-utf
TESTS += tests/unit/test-utf
tests_unit_test_utf_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_utf_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_utf_LDADD = $(UNIT_LIBS)
tests_unit_test_utf_SOURCES = tests/unit/test-utf.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-words
TESTS += tests/unit/test-words
tests_unit_test_words_CPPFLAGS = $(UNIT_CPPFLAGS) -I$(top_srcdir)/tool
tests_unit_test_words_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_words_LDADD = $(CMOCKA_LIBS)
tests_unit_test_words_SOURCES = tests/unit/test-words.c tool/words.c \
	tool/words.h $(UNIT_COMMON)


check_PROGRAMS += tests/unit/test-size
TESTS += tests/unit/test-size
tests_unit_test_size_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_size_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_size_LDADD = $(UNIT_LIBS)
tests_unit_test_size_SOURCES = tests/unit/test-size.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-flags
TESTS += tests/unit/test-flags
tests_unit_test_flags_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_flags_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_flags_LDADD = $(UNIT_LIBS)
tests_unit_test_flags_SOURCES = tests/unit/test-flags.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-progress
TESTS += tests/unit/test-progress
tests_unit_test_progress_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_progress_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_progress_LDADD = $(UNIT_LIBS)
tests_unit_test_progress_SOURCES = tests/unit/test-progress.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-geometry
TESTS += tests/unit/test-geometry
tests_unit_test_geometry_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_geometry_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_geometry_LDADD = $(UNIT_LIBS)
tests_unit_test_geometry_SOURCES = tests/unit/test-geometry.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-guid
TESTS += tests/unit/test-guid
tests_unit_test_guid_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_guid_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_guid_LDADD = $(UNIT_LIBS)
tests_unit_test_guid_SOURCES = tests/unit/test-guid.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-footer
TESTS += tests/unit/test-footer
tests_unit_test_footer_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_footer_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_footer_LDADD = $(UNIT_LIBS)
tests_unit_test_footer_SOURCES = tests/unit/test-footer.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-header
TESTS += tests/unit/test-header
tests_unit_test_header_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_header_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_header_LDADD = $(UNIT_LIBS)
tests_unit_test_header_SOURCES = tests/unit/test-header.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-locator
TESTS += tests/unit/test-locator
tests_unit_test_locator_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_locator_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_locator_LDADD = $(UNIT_LIBS)
tests_unit_test_locator_SOURCES = tests/unit/test-locator.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-batmap
TESTS += tests/unit/test-batmap
tests_unit_test_batmap_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_batmap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_batmap_LDADD = $(UNIT_LIBS)
tests_unit_test_batmap_SOURCES = tests/unit/test-batmap.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-images
TESTS += tests/unit/test-images
tests_unit_test_images_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_images_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_images_LDADD = $(UNIT_LIBS)
tests_unit_test_images_SOURCES = tests/unit/test-images.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-local
TESTS += tests/unit/test-local
tests_unit_test_local_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_local_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_local_LDADD = $(UNIT_LIBS)
tests_unit_test_local_SOURCES = tests/unit/test-local.c $(UNIT_COMMON) \
	$(UNIT_DISK)

check_PROGRAMS += tests/unit/test-lock
TESTS += tests/unit/test-lock
tests_unit_test_lock_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_lock_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lock_LDADD = $(UNIT_LIBS)
tests_unit_test_lock_SOURCES = tests/unit/test-lock.c $(UNIT_COMMON) \
	$(UNIT_DISK)

check_PROGRAMS += tests/unit/test-full
TESTS += tests/unit/test-full
tests_unit_test_full_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_full_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_full_LDADD = $(UNIT_LIBS)
tests_unit_test_full_SOURCES = tests/unit/test-full.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-content
TESTS += tests/unit/test-content
tests_unit_test_content_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_content_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_content_LDADD = $(UNIT_LIBS)
tests_unit_test_content_SOURCES = tests/unit/test-content.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-disk
TESTS += tests/unit/test-disk
tests_unit_test_disk_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_disk_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_disk_LDADD = $(UNIT_LIBS)
tests_unit_test_disk_SOURCES = tests/unit/test-disk.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-raw
TESTS += tests/unit/test-raw
tests_unit_test_raw_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_raw_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_raw_LDADD = $(UNIT_LIBS)
tests_unit_test_raw_SOURCES = tests/unit/test-raw.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-images-open
TESTS += tests/unit/test-images-open
tests_unit_test_images_open_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_images_open_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_images_open_LDADD = $(UNIT_LIBS)
tests_unit_test_images_open_SOURCES = tests/unit/test-images-open.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-hostile
TESTS += tests/unit/test-hostile
tests_unit_test_hostile_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_hostile_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hostile_LDADD = $(UNIT_LIBS)
tests_unit_test_hostile_SOURCES = tests/unit/test-hostile.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE)

check_PROGRAMS += tests/unit/test-hostile-footer
TESTS += tests/unit/test-hostile-footer
tests_unit_test_hostile_footer_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_hostile_footer_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hostile_footer_LDADD = $(UNIT_LIBS)
tests_unit_test_hostile_footer_SOURCES = tests/unit/test-hostile-footer.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE)

check_PROGRAMS += tests/unit/test-hostile-chain
TESTS += tests/unit/test-hostile-chain
tests_unit_test_hostile_chain_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_hostile_chain_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hostile_chain_LDADD = $(UNIT_LIBS)
tests_unit_test_hostile_chain_SOURCES = tests/unit/test-hostile-chain.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE) $(UNIT_NAMED)

check_PROGRAMS += tests/unit/test-hostile-locator
TESTS += tests/unit/test-hostile-locator
tests_unit_test_hostile_locator_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_hostile_locator_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hostile_locator_LDADD = $(UNIT_LIBS)
tests_unit_test_hostile_locator_SOURCES = tests/unit/test-hostile-locator.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE) $(UNIT_NAMED)

check_PROGRAMS += tests/unit/test-beyond
TESTS += tests/unit/test-beyond
tests_unit_test_beyond_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_beyond_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_beyond_LDADD = $(UNIT_LIBS)
tests_unit_test_beyond_SOURCES = tests/unit/test-beyond.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE)

check_PROGRAMS += tests/unit/test-chain
TESTS += tests/unit/test-chain
TSAN_TESTS += tests/unit/test-chain
tests_unit_test_chain_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_chain_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_chain_LDADD = $(UNIT_LIBS)
tests_unit_test_chain_SOURCES = tests/unit/test-chain.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE)

check_PROGRAMS += tests/unit/test-exchange
TESTS += tests/unit/test-exchange
TSAN_TESTS += tests/unit/test-exchange
tests_unit_test_exchange_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_exchange_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_exchange_LDADD = $(UNIT_LIBS)
tests_unit_test_exchange_SOURCES = tests/unit/test-exchange.c $(UNIT_COMMON) \
	$(UNIT_HOSTILE)

endif

include tests/unit/nbd.mk
include tests/unit/front.mk
include tests/unit/provision.mk
