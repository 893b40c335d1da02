# vhdkitd: see Makefile.am for the lists.
#
# The server's sources but main.c are a convenience library, so that unit
# tests and fuzz targets can link with them: server/libserver.la.  No shared
# library is made of it, so each source is compiled once (-static).  Include
# paths are those of this room and the one public header:
#   #include "nbd/handshake/handshake.h"   and   #include "vhdkit.h"

SERVER_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/server $(PUBLIC_CPPFLAGS)
SERVER_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(LIBCONFIG_CFLAGS) $(TLS_CFLAGS) $(LIBURING_CFLAGS) \
	$(LIBSECCOMP_CFLAGS) $(JANSSON_CFLAGS)
SERVER_LIBS = $(EVENT_LIBS) $(LIBCONFIG_LIBS) $(TLS_LIBS) $(LIBURING_LIBS) \
	$(LIBSECCOMP_LIBS) $(JANSSON_LIBS)

noinst_LTLIBRARIES += server/libserver.la
server_libserver_la_CPPFLAGS = $(SERVER_CPPFLAGS)
server_libserver_la_CFLAGS = $(SERVER_CFLAGS) -static
server_libserver_la_LIBADD = server/libnbdproto.la $(SERVER_LIBS)
server_libserver_la_SOURCES = \
	server/base/buffer.c \
	server/base/buffer.h \
	server/base/clock.h \
	server/base/container.h \
	server/base/descriptors.c \
	server/base/descriptors.h \
	server/base/error.c \
	server/base/error.h \
	server/base/log.c \
	server/base/log.h \
	server/base/log_cause.c \
	server/base/log_cause.h \
	server/base/loop.c \
	server/base/loop.h \
	server/base/sha256.c \
	server/base/sha256.h \
	server/base/text.h \
	server/base/thread.c \
	server/base/thread.h \
	server/base/turns.c \
	server/base/turns.h \
	server/base/usage.c \
	server/base/usage.h \
	server/catalog/catalog.c \
	server/catalog/catalog.h \
	server/catalog/change.c \
	server/catalog/change.h \
	server/catalog/entry.c \
	server/catalog/entry.h \
	server/catalog/generation.c \
	server/catalog/generation.h \
	server/catalog/holder.c \
	server/catalog/list.c \
	server/catalog/list.h \
	server/catalog/looks.c \
	server/catalog/looks.h \
	server/catalog/open.c \
	server/catalog/open.h \
	server/catalog/roll.c \
	server/catalog/roll.h \
	server/catalog/source/disks.c \
	server/catalog/source/folder.c \
	server/catalog/source/rule_book.c \
	server/catalog/source/rule_book.h \
	server/catalog/source/sessions.c \
	server/catalog/source/sessions.h \
	server/catalog/source/source.c \
	server/catalog/source/source.h \
	server/catalog/source/strings.c \
	server/catalog/source/strings.h \
	server/catalog/start/bases.c \
	server/catalog/start/bases.h \
	server/catalog/start/crew.c \
	server/catalog/start/crew.h \
	server/catalog/start/relatives.c \
	server/catalog/start/relatives.h \
	server/catalog/start/start.c \
	server/catalog/start/start.h \
	server/catalog/stop.c \
	server/catalog/stop.h \
	server/client/client.c \
	server/client/client.h \
	server/client/command/cache.c \
	server/client/command/cache.h \
	server/client/command/command.c \
	server/client/command/command.h \
	server/client/command/op.c \
	server/client/command/op.h \
	server/client/command/read.c \
	server/client/command/read.h \
	server/client/command/status.c \
	server/client/command/status.h \
	server/client/command/write.c \
	server/client/command/write.h \
	server/client/connection/census.c \
	server/client/connection/census.h \
	server/client/connection/connection.c \
	server/client/connection/connection.h \
	server/client/connection/connection_state.h \
	server/client/connection/ending.c \
	server/client/connection/ending.h \
	server/client/connection/negotiate.c \
	server/client/connection/negotiate.h \
	server/client/connection/receive.c \
	server/client/connection/receive.h \
	server/client/connection/requests.c \
	server/client/connection/requests.h \
	server/client/fact.c \
	server/client/fact.h \
	server/client/host.h \
	server/client/reply.c \
	server/client/reply.h \
	server/client/send.c \
	server/client/send.h \
	server/client/worker.h \
	server/config/clients.c \
	server/config/clients.h \
	server/config/command_line.c \
	server/config/command_line.h \
	server/config/command_line_exports.c \
	server/config/command_line_exports.h \
	server/config/file.c \
	server/config/file.h \
	server/config/option.c \
	server/config/option.h \
	server/config/parcel.c \
	server/config/parcel.h \
	server/config/reading.c \
	server/config/reading.h \
	server/config/resolve.c \
	server/config/resolve.h \
	server/config/server_config.h \
	server/config/settings.c \
	server/config/settings.h \
	server/config/trial.c \
	server/config/trial.h \
	server/control/caller.c \
	server/control/caller.h \
	server/control/events.c \
	server/control/events.h \
	server/control/facts.c \
	server/control/facts.h \
	server/control/disks/change.c \
	server/control/disks/job.c \
	server/control/disks/job.h \
	server/control/disks/look.c \
	server/control/disks/schedule.c \
	server/control/disks/schedule.h \
	server/control/disks/verbs.h \
	server/control/gather.c \
	server/control/gather.h \
	server/control/metrics/exports.c \
	server/control/metrics/exports.h \
	server/control/metrics/metrics.c \
	server/control/metrics/metrics.h \
	server/control/metrics/scrape.c \
	server/control/metrics/scrape.h \
	server/control/metrics/series.c \
	server/control/metrics/series.h \
	server/control/question.c \
	server/control/question.h \
	server/control/reloads.c \
	server/control/reloads.h \
	server/control/request.c \
	server/control/request.h \
	server/control/say.c \
	server/control/say.h \
	server/control/socket/reception.c \
	server/control/socket/reception.h \
	server/control/socket/session.c \
	server/control/socket/session.h \
	server/control/socket/table.c \
	server/control/socket/table.h \
	server/control/verb/cancel.c \
	server/control/verb/clients.c \
	server/control/verb/disconnect.c \
	server/control/verb/drain.c \
	server/control/verb/events.c \
	server/control/verb/exports.c \
	server/control/verb/online.c \
	server/control/verb/keeper.c \
	server/control/verb/status.c \
	server/control/verb/verbs.h \
	server/control/world.h \
	server/disk/budget.c \
	server/disk/budget.h \
	server/disk/gate.c \
	server/disk/gate.h \
	server/io/durable.c \
	server/io/engine.c \
	server/io/engine.h \
	server/io/file.c \
	server/io/gather.c \
	server/io/job.c \
	server/io/lead.c \
	server/io/queue.c \
	server/io/try.c \
	server/io/uring.c \
	server/io/watch.c \
	server/keeper/broker/broker.c \
	server/keeper/broker/broker.h \
	server/keeper/broker/changes.c \
	server/keeper/broker/changes.h \
	server/keeper/broker/disks.c \
	server/keeper/broker/disks.h \
	server/keeper/broker/helper.c \
	server/keeper/broker/helper.h \
	server/keeper/broker/journals.c \
	server/keeper/broker/journals.h \
	server/keeper/broker/message.c \
	server/keeper/broker/message.h \
	server/keeper/broker/orders.c \
	server/keeper/broker/orders.h \
	server/keeper/broker/place.c \
	server/keeper/broker/place.h \
	server/keeper/broker/policy.c \
	server/keeper/broker/policy.h \
	server/keeper/broker/policy_disks.c \
	server/keeper/broker/policy_disks.h \
	server/keeper/capabilities.c \
	server/keeper/capabilities.h \
	server/keeper/confine.c \
	server/keeper/confine.h \
	server/keeper/keeper.c \
	server/keeper/keeper.h \
	server/keeper/landlock.c \
	server/keeper/landlock.h \
	server/keeper/notify.c \
	server/keeper/notify.h \
	server/keeper/pid_file.c \
	server/keeper/pid_file.h \
	server/keeper/sanitized.h \
	server/keeper/seccomp.c \
	server/keeper/seccomp.h \
	server/keeper/ties.c \
	server/keeper/user.c \
	server/keeper/user.h \
	server/net/address_limit.c \
	server/net/address_limit.h \
	server/net/listen.c \
	server/net/listen.h \
	server/net/plain_stream.c \
	server/net/socket.c \
	server/net/socket.h \
	server/net/stream.h \
	server/net/visitor.c \
	server/net/visitor.h \
	server/online/online.c \
	server/online/online.h \
	server/provision/change/apply.c \
	server/provision/change/change.c \
	server/provision/change/change.h \
	server/provision/change/delete.c \
	server/provision/change/schedule.c \
	server/provision/change/work.c \
	server/provision/change/work.h \
	server/provision/child.c \
	server/provision/child.h \
	server/provision/client_id.c \
	server/provision/client_id.h \
	server/provision/disk_folder.c \
	server/provision/disk_folder.h \
	server/provision/disk_name.c \
	server/provision/disk_name.h \
	server/provision/disk_order.c \
	server/provision/disk_order.h \
	server/provision/disk_schedule.c \
	server/provision/disk_schedule.h \
	server/provision/disk_text.c \
	server/provision/disk_text.h \
	server/provision/provision_config.h \
	server/provision/rules.c \
	server/provision/rules.h \
	server/server.c \
	server/server.h \
	server/hands.c \
	server/hands.h \
	server/service.c \
	server/service.h
if HAVE_TLS
server_libserver_la_SOURCES += \
	server/net/tls/bio.c \
	server/net/tls/bio.h \
	server/net/tls/context.c \
	server/net/tls/context.h \
	server/net/tls/credentials.c \
	server/net/tls/credentials.h \
	server/net/tls/handshake.c \
	server/net/tls/handshake.h \
	server/net/tls/hello.c \
	server/net/tls/hello.h \
	server/net/tls/identity.c \
	server/net/tls/identity.h \
	server/net/tls/keys.c \
	server/net/tls/keys.h \
	server/net/tls/psk.c \
	server/net/tls/psk.h \
	server/net/tls/stream.c \
	server/net/tls/stream.h \
	server/net/tls/stream_state.h
endif

sbin_PROGRAMS += server/vhdkitd
server_vhdkitd_CPPFLAGS = $(SERVER_CPPFLAGS)
server_vhdkitd_CFLAGS = $(SERVER_CFLAGS)
server_vhdkitd_LDADD = server/libserver.la lib/libvhdkit.la
server_vhdkitd_SOURCES = server/main.c
dist_man_MANS += server/vhdkitd.8 server/vhdkitd.conf.5 server/vhdkit-disks.7 \
	server/vhdkit-classroom.7 \
	server/control/vhdkit-control.7
EXTRA_DIST += server/vhdkitd.pod server/vhdkitd.conf.pod \
	server/control/vhdkit-control.pod server/vhdkit-disks.pod \
	server/vhdkit-classroom.pod

# What libserver.la needs from it: server/libnbdproto.la in its LIBADD.
include server/nbd/local.mk
