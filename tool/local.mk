# vhdkit, the command line tool: see Makefile.am for the lists.

# What file systems use: also for what makes them stumble.
TOOL_USAGE = \
	tool/inside/ext.c \
	tool/inside/ext.h \
	tool/inside/fat.c \
	tool/inside/fat.h \
	tool/inside/ntfs.c \
	tool/inside/ntfs.h \
	tool/inside/ntfs_names.c \
	tool/inside/ntfs_record.c \
	tool/inside/ntfs_state.c \
	tool/inside/ntfs_stream.c \
	tool/inside/usage.c \
	tool/inside/usage.h

# What programs of verbs share.
noinst_LTLIBRARIES += tool/libprogram.la
tool_libprogram_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tool \
	$(PUBLIC_CPPFLAGS)
tool_libprogram_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SMARTCOLS_CFLAGS)
tool_libprogram_la_LIBADD = $(JANSSON_LIBS) $(SMARTCOLS_LIBS)
tool_libprogram_la_SOURCES = \
	tool/exits.c \
	tool/exits.h \
	tool/interrupt.c \
	tool/interrupt.h \
	tool/json.c \
	tool/json.h \
	tool/message.c \
	tool/message.h \
	tool/options.c \
	tool/options.h \
	tool/program.c \
	tool/program.h \
	tool/progress.c \
	tool/progress.h \
	tool/table.c \
	tool/table.h \
	tool/text.c \
	tool/text.h

bin_PROGRAMS += tool/vhdkit
tool_vhdkit_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tool $(PUBLIC_CPPFLAGS) \
	-DSBINDIR='"$(sbindir)"'
tool_vhdkit_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SMARTCOLS_CFLAGS) \
	$(BLKID_CFLAGS) $(LIBNBD_CFLAGS) $(LIBFDISK_CFLAGS) \
	$(EXT2FS_CFLAGS)
tool_vhdkit_LDADD = tool/libprogram.la lib/libvhdkit.la \
	$(JANSSON_LIBS) $(SMARTCOLS_LIBS) \
	$(BLKID_LIBS) $(LIBNBD_LIBS) $(LIBFDISK_LIBS) \
	$(EXT2FS_LIBS)
tool_vhdkit_SOURCES = \
	tool/attach.c \
	tool/attach/client.c \
	tool/attach/client.h \
	tool/attach/driver.c \
	tool/attach/driver.h \
	tool/attach/ending.c \
	tool/attach/ending.h \
	tool/attach/folder.c \
	tool/attach/folder.h \
	tool/attach/listing.c \
	tool/attach/listing.h \
	tool/attach/log.c \
	tool/attach/log.h \
	tool/attach/look.c \
	tool/attach/look.h \
	tool/attach/process.c \
	tool/attach/process.h \
	tool/attach/record.c \
	tool/attach/record.h \
	tool/attach/session.c \
	tool/attach/session.h \
	tool/attach/unmount.c \
	tool/attach/unmount.h \
	tool/check.c \
	tool/compare.c \
	tool/convert.c \
	tool/compact.c \
	tool/create.c \
	tool/detach.c \
	tool/device.c \
	tool/device.h \
	tool/formats.c \
	tool/formats.h \
	tool/image.c \
	tool/image.h \
	tool/info.c \
	tool/inside/disk.c \
	tool/inside/disk.h \
	tool/inside/excerpt.c \
	tool/inside/excerpt.h \
	tool/inside/free.c \
	tool/inside/free.h \
	$(TOOL_USAGE) \
	tool/label.h \
	tool/list.c \
	tool/main.c \
	tool/map.c \
	tool/merge.c \
	tool/mount.c \
	tool/read.c \
	tool/rebase.c \
	tool/relink.c \
	tool/remote.c \
	tool/remote.h \
	tool/revert.c \
	tool/snapshot.c \
	tool/repair.c \
	tool/rescue.c \
	tool/rescue.h \
	tool/resize.c \
	tool/script.c \
	tool/set.c \
	tool/step.c \
	tool/step.h \
	tool/unmount.c \
	tool/verbs.h \
	tool/words.c \
	tool/words.h \
	tool/write.c \
	tool/zeros.h
if HAVE_LIBFDISK
tool_vhdkit_SOURCES += tool/label.c
else
tool_vhdkit_SOURCES += tool/label_none.c
endif
if HAVE_LIBNBD
tool_vhdkit_SOURCES += tool/remote_nbd.c
else
tool_vhdkit_SOURCES += tool/remote_none.c
endif

bin_PROGRAMS += tool/vhdkitctl
tool_vhdkitctl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tool \
	$(PUBLIC_CPPFLAGS)
tool_vhdkitctl_CFLAGS = $(AM_CFLAGS)
tool_vhdkitctl_LDADD = tool/libprogram.la lib/libvhdkit.la
tool_vhdkitctl_SOURCES = \
	tool/ctl/change.c \
	tool/ctl/clients.c \
	tool/ctl/clients.h \
	tool/ctl/disk.c \
	tool/ctl/disks.c \
	tool/ctl/events.c \
	tool/ctl/exports.c \
	tool/ctl/link.c \
	tool/ctl/link.h \
	tool/ctl/main.c \
	tool/ctl/online.c \
	tool/ctl/status.c \
	tool/ctl/top.c \
	tool/ctl/ctl.h
dist_man_MANS += tool/ctl/vhdkitctl.1
EXTRA_DIST += tool/ctl/vhdkitctl.pod

# A page for the tool, and one a verb.
TOOL_PODS = \
	tool/vhdkit.pod \
	tool/vhdkit-attach.pod \
	tool/vhdkit-check.pod \
	tool/vhdkit-compare.pod \
	tool/vhdkit-convert.pod \
	tool/vhdkit-compact.pod \
	tool/vhdkit-create.pod \
	tool/vhdkit-detach.pod \
	tool/vhdkit-info.pod \
	tool/vhdkit-list.pod \
	tool/vhdkit-map.pod \
	tool/vhdkit-measure.pod \
	tool/vhdkit-merge.pod \
	tool/vhdkit-mount.pod \
	tool/vhdkit-read.pod \
	tool/vhdkit-rebase.pod \
	tool/vhdkit-relink.pod \
	tool/vhdkit-revert.pod \
	tool/vhdkit-snapshot.pod \
	tool/vhdkit-repair.pod \
	tool/vhdkit-rescue.pod \
	tool/vhdkit-resize.pod \
	tool/vhdkit-script.pod \
	tool/vhdkit-set.pod \
	tool/vhdkit-unmount.pod \
	tool/vhdkit-write.pod
dist_man_MANS += $(TOOL_PODS:.pod=.1)
EXTRA_DIST += $(TOOL_PODS)
