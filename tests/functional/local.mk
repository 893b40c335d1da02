# Functional tests: the programs as a user runs them, with real NBD clients.
# See tests/local.mk for how to add a test.

# The command line tool.
TOOL_TESTS = \
	tests/functional/tool-attach.py \
	tests/functional/tool-check.py \
	tests/functional/tool-check-chain.py \
	tests/functional/tool-convert.py \
	tests/functional/tool-compact.py \
	tests/functional/tool-create.py \
	tests/functional/tool-detach.py \
	tests/functional/tool-errors.py \
	tests/functional/tool-exits.py \
	tests/functional/tool-faults.py \
	tests/functional/tool-info.py \
	tests/functional/tool-label.py \
	tests/functional/tool-lineage.py \
	tests/functional/tool-list.py \
	tests/functional/tool-model.py \
	tests/functional/tool-parity.py \
	tests/functional/tool-progress.py \
	tests/functional/tool-merge.py \
	tests/functional/tool-nbd.py \
	tests/functional/tool-readwrite.py \
	tests/functional/tool-rebase.py \
	tests/functional/tool-relink.py \
	tests/functional/tool-snapshot.py \
	tests/functional/tool-repair.py \
	tests/functional/tool-rescue.py \
	tests/functional/tool-free.py \
	tests/functional/tool-free-fat.py \
	tests/functional/tool-free-ntfs.py \
	tests/functional/tool-mount.py \
	tests/functional/tool-resize.py \
	tests/functional/tool-script.py \
	tests/functional/tool-set.py \
	tests/functional/tool-targets.py \
	tests/functional/tool-vhdx-hostile.py \
	tests/functional/tool-vhdx.py
dist_check_SCRIPTS += $(TOOL_TESTS)
TESTS += $(TOOL_TESTS)
dist_check_DATA += \
	tests/functional/attachtest.py \
	tests/functional/checktest.py \
	tests/functional/freetest.py \
	tests/functional/inplacetest.py \
	tests/functional/tooltest.py \
	tests/functional/vhdimage.py \
	tests/functional/vhdximage.py

# Disks, and a child of them for each client.
DISKS_TESTS = \
	tests/functional/disks-children.py \
	tests/functional/disks-identity.py \
	tests/functional/disks-kill.py \
	tests/functional/disks-space.py
dist_check_SCRIPTS += $(DISKS_TESTS)
TESTS += $(DISKS_TESTS)
dist_check_DATA += tests/functional/diskstest.py
TSAN_TESTS += \
	tests/functional/disks-children.py \
	tests/functional/disks-identity.py

# The server's data path.
SERVER_TESTS = \
	tests/functional/server-bounds.py \
	tests/functional/server-chain.py \
	tests/functional/server-cold.py \
	tests/functional/server-content.py \
	tests/functional/server-depth.py \
	tests/functional/server-exports.py \
	tests/functional/server-extended.py \
	tests/functional/server-facts.py \
	tests/functional/server-flush.py \
	tests/functional/server-generations.py \
	tests/functional/server-hang.py \
	tests/functional/server-journal.py \
	tests/functional/server-kill.py \
	tests/functional/server-list.py \
	tests/functional/server-many.py \
	tests/functional/server-model.py \
	tests/functional/server-no-threads.py \
	tests/functional/server-no-uring.py \
	tests/functional/server-reload.py \
	tests/functional/server-remount.py \
	tests/functional/server-redo.py \
	tests/functional/server-restart.py \
	tests/functional/server-space.py \
	tests/functional/server-stop.py \
	tests/functional/server-strangers.py \
	tests/functional/server-unreadable.py \
	tests/functional/server-vhdx.py \
	tests/functional/server-worker.py
dist_check_SCRIPTS += $(SERVER_TESTS)
TESTS += $(SERVER_TESTS)
TSAN_TESTS += \
	tests/functional/server-bounds.py \
	tests/functional/server-cold.py \
	tests/functional/server-exports.py \
	tests/functional/server-model.py \
	tests/functional/server-stop.py \
	tests/functional/server-strangers.py \
	tests/functional/server-unreadable.py
dist_check_DATA += \
	tests/functional/mounttest.py \
	tests/functional/qmp.py \
	tests/functional/rawclient.py \
	tests/functional/servertest.py

# The control socket, and vhdkitctl.
CONTROL_TESTS = \
	tests/functional/control-change.py \
	tests/functional/control-ctl.py \
	tests/functional/control-disks.py \
	tests/functional/control-hostile.py \
	tests/functional/control-look.py \
	tests/functional/control-metrics.py \
	tests/functional/control-online-kill.py \
	tests/functional/control-online.py \
	tests/functional/tutorial.py
dist_check_SCRIPTS += $(CONTROL_TESTS)
TESTS += $(CONTROL_TESTS)
TSAN_TESTS += \
	tests/functional/control-change.py \
	tests/functional/control-hostile.py \
	tests/functional/control-look.py \
	tests/functional/control-online-kill.py \
	tests/functional/control-online.py
dist_check_DATA += tests/functional/controltest.py \
	tests/functional/onlinetest.py

# The server's front: options, sockets, sandbox, and TLS.
FRONT_TESTS = \
	tests/functional/front-config.py \
	tests/functional/front-inherit.py \
	tests/functional/front-listen.py \
	tests/functional/front-options.py \
	tests/functional/front-sandbox.py \
	tests/functional/front-stop.py \
	tests/functional/front-storm.py
FRONT_TLS_TESTS = \
	tests/functional/tls-clients.py \
	tests/functional/tls-crowd.py \
	tests/functional/tls-keyupdate.py \
	tests/functional/tls-psk.py \
	tests/functional/tls-refusals.py \
	tests/functional/tls-reload.py \
	tests/functional/tls-session.py \
	tests/functional/tls-stalled.py
dist_check_SCRIPTS += $(FRONT_TESTS) $(FRONT_TLS_TESTS)
TESTS += $(FRONT_TESTS)
TSAN_TESTS += \
	tests/functional/front-sandbox.py \
	tests/functional/front-stop.py \
	tests/functional/front-storm.py
if HAVE_TLS
TESTS += $(FRONT_TLS_TESTS)
check_LTLIBRARIES += tests/functional/slow-tls.la
# -rpath makes it a shared library although nobody installs it.
tests_functional_slow_tls_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -rpath /nowhere
tests_functional_slow_tls_la_LIBADD = -ldl
tests_functional_slow_tls_la_SOURCES = tests/functional/slow-tls.c
TSAN_TESTS += \
	tests/functional/tls-keyupdate.py \
	tests/functional/tls-reload.py \
	tests/functional/tls-session.py
endif
dist_check_DATA += \
	tests/functional/callfilter.py \
	tests/functional/fronttest.py \
	tests/functional/tlstest.py

# The nbdkit plugin.
if HAVE_NBDKIT
PLUGIN_TESTS = \
	tests/functional/plugin-as-server.sh \
	tests/functional/plugin-basics.py \
	tests/functional/plugin-filters.py \
	tests/functional/plugin-hang.py \
	tests/functional/plugin-list.py \
	tests/functional/plugin-quit.py
TESTS += $(PLUGIN_TESTS)
endif
dist_check_SCRIPTS += \
	tests/functional/plugin-as-server.sh \
	tests/functional/plugin-basics.py \
	tests/functional/plugin-filters.py \
	tests/functional/plugin-hang.py \
	tests/functional/plugin-list.py \
	tests/functional/plugin-quit.py
dist_check_DATA += tests/functional/plugintest.py
