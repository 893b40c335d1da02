# Unit tests of the server's front; included by local.mk.

if HAVE_CMOCKA

check_PROGRAMS += tests/unit/test-sandbox
TESTS += tests/unit/test-sandbox
tests_unit_test_sandbox_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_sandbox_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sandbox_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_sandbox_SOURCES = tests/unit/test-sandbox.c \
	tests/unit/walls.c tests/unit/walls.h

if HAVE_TLS
check_PROGRAMS += tests/unit/test-hello
TESTS += tests/unit/test-hello
tests_unit_test_hello_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_hello_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hello_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_hello_SOURCES = tests/unit/test-hello.c

check_PROGRAMS += tests/unit/test-keys
TESTS += tests/unit/test-keys
TSAN_TESTS += tests/unit/test-keys
tests_unit_test_keys_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_keys_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_keys_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_keys_SOURCES = tests/unit/test-keys.c
endif

check_PROGRAMS += tests/unit/test-list
TESTS += tests/unit/test-list
TSAN_TESTS += tests/unit/test-list
tests_unit_test_list_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_list_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_list_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_list_SOURCES = tests/unit/test-list.c

check_PROGRAMS += tests/unit/test-online
TESTS += tests/unit/test-online
TSAN_TESTS += tests/unit/test-online
tests_unit_test_online_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_online_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_online_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_online_SOURCES = tests/unit/test-online.c

check_PROGRAMS += tests/unit/test-log-cause
TESTS += tests/unit/test-log-cause
tests_unit_test_log_cause_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_log_cause_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_log_cause_LDADD = server/libserver.la $(CMOCKA_LIBS)
tests_unit_test_log_cause_SOURCES = tests/unit/test-log-cause.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-visitor
TESTS += tests/unit/test-visitor
tests_unit_test_visitor_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_visitor_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_visitor_LDADD = server/libserver.la $(CMOCKA_LIBS)
tests_unit_test_visitor_SOURCES = tests/unit/test-visitor.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-facts
TESTS += tests/unit/test-facts
tests_unit_test_facts_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_facts_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_facts_LDADD = server/libserver.la $(CMOCKA_LIBS)
tests_unit_test_facts_SOURCES = tests/unit/test-facts.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-loop
TESTS += tests/unit/test-loop
tests_unit_test_loop_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_loop_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_loop_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_loop_SOURCES = tests/unit/test-loop.c

check_PROGRAMS += tests/unit/test-gate
TESTS += tests/unit/test-gate
TSAN_TESTS += tests/unit/test-gate
tests_unit_test_gate_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_gate_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_gate_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_gate_SOURCES = tests/unit/test-gate.c

check_PROGRAMS += tests/unit/test-thread
TESTS += tests/unit/test-thread
TSAN_TESTS += tests/unit/test-thread
tests_unit_test_thread_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_thread_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_thread_LDADD = server/libserver.la $(CMOCKA_LIBS)
tests_unit_test_thread_SOURCES = tests/unit/test-thread.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-usage
TESTS += tests/unit/test-usage
TSAN_TESTS += tests/unit/test-usage
tests_unit_test_usage_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_usage_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_usage_LDADD = server/libserver.la $(CMOCKA_LIBS)
tests_unit_test_usage_SOURCES = tests/unit/test-usage.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-durable
TESTS += tests/unit/test-durable
tests_unit_test_durable_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_durable_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_durable_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_durable_SOURCES = tests/unit/test-durable.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-lead
TESTS += tests/unit/test-lead
tests_unit_test_lead_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_lead_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lead_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_lead_SOURCES = tests/unit/test-lead.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-send
TESTS += tests/unit/test-send
tests_unit_test_send_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_send_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_send_LDADD = server/libserver.la lib/libvhdkit.la \
	$(LIBURING_LIBS) $(CMOCKA_LIBS)
tests_unit_test_send_SOURCES = tests/unit/test-send.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-helper tests/unit/test-keeper \
	tests/unit/test-orders tests/unit/test-sessions \
	tests/unit/test-policy tests/unit/test-policy-disks tests/unit/test-worker
TESTS += tests/unit/test-helper tests/unit/test-keeper tests/unit/test-orders \
	tests/unit/test-sessions tests/unit/test-policy \
	tests/unit/test-policy-disks tests/unit/test-worker
tests_unit_test_helper_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_helper_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_helper_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_helper_SOURCES = tests/unit/test-helper.c
tests_unit_test_keeper_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_keeper_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_keeper_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_keeper_SOURCES = tests/unit/test-keeper.c
tests_unit_test_orders_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_orders_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_orders_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_orders_SOURCES = tests/unit/test-orders.c
tests_unit_test_sessions_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_sessions_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sessions_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_sessions_SOURCES = tests/unit/test-sessions.c
tests_unit_test_policy_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_policy_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_policy_SOURCES = tests/unit/test-policy.c
tests_unit_test_policy_disks_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_policy_disks_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_disks_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_policy_disks_SOURCES = tests/unit/test-policy-disks.c
tests_unit_test_worker_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_worker_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_worker_LDADD = server/libserver.la lib/libvhdkit.la \
	$(CMOCKA_LIBS)
tests_unit_test_worker_SOURCES = tests/unit/test-worker.c \
	tests/unit/walls.c tests/unit/walls.h

endif
