# libvhdkit: see Makefile.am for the lists.
#
# Every source goes into a convenience library, lib/libvhdkit-core.la; the
# installed lib/libvhdkit.la is that plus the symbol map.  Programs link with
# libvhdkit.la and so can use only what vhdkit.h offers; unit tests, the
# simulator and the fuzz targets link with libvhdkit-core.la and see it all.
#
# Everything is compiled with hidden visibility: vhdkit.h wraps its
# declarations in  #pragma GCC visibility push(default) / pop,  and
# lib/vhdkit.map lists the same names.

LIB_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib $(UUID_CFLAGS)
LIB_LIBS = $(UUID_LIBS)

noinst_LTLIBRARIES += lib/libvhdkit-core.la
lib_libvhdkit_core_la_CPPFLAGS = $(LIB_CPPFLAGS)
lib_libvhdkit_core_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
lib_libvhdkit_core_la_LIBADD = $(LIB_LIBS)
# One source or header a line, sorted, rooms in order: base format image store
# ops.  Headers too, or they are missing from the tarball.
lib_libvhdkit_core_la_SOURCES = \
	lib/vhdkit.c \
	lib/base/arith.h \
	lib/base/bitmap.c \
	lib/base/bitmap.h \
	lib/base/bounds.h \
	lib/base/bytes.h \
	lib/base/cleanup.h \
	lib/base/crc32c.c \
	lib/base/crc32c.h \
	lib/base/error.c \
	lib/base/error.h \
	lib/base/progress.c \
	lib/base/progress.h \
	lib/base/rules.h \
	lib/base/table.c \
	lib/base/table.h \
	lib/base/utf.c \
	lib/base/utf.h \
	lib/format/batmap.c \
	lib/format/batmap.h \
	lib/format/footer.c \
	lib/format/footer.h \
	lib/format/geometry.c \
	lib/format/geometry.h \
	lib/format/guid.c \
	lib/format/guid.h \
	lib/format/header.c \
	lib/format/header.h \
	lib/format/locator.c \
	lib/format/locator.h \
	lib/format/vhdx.c \
	lib/format/vhdx.h \
	lib/format/vhdx_log.c \
	lib/format/vhdx_log.h \
	lib/format/vhdx_metadata.c \
	lib/format/vhdx_table.h \
	lib/image/bat.c \
	lib/image/bat.h \
	lib/image/bitmaps.c \
	lib/image/bitmaps.h \
	lib/image/apply.c \
	lib/image/apply.h \
	lib/image/budget.c \
	lib/image/budget.h \
	lib/image/chain.c \
	lib/image/chain.h \
	lib/image/change.c \
	lib/image/commit.c \
	lib/image/commit.h \
	lib/image/dirty.c \
	lib/image/epoch.c \
	lib/image/grow.c \
	lib/image/image.c \
	lib/image/image.h \
	lib/image/info.c \
	lib/image/journal.c \
	lib/image/journal.h \
	lib/image/layer.c \
	lib/image/layer.h \
	lib/image/layout.c \
	lib/image/layout.h \
	lib/image/layout_bat.c \
	lib/image/layout_footer.c \
	lib/image/layout_format.c \
	lib/image/layout_reader.c \
	lib/image/layout_reader.h \
	lib/image/layout_salvage.c \
	lib/image/layout_salvage.h \
	lib/image/layout_salvage_guess.c \
	lib/image/layout_salvage_strays.c \
	lib/image/layout_salvage_table.c \
	lib/image/layout_spare.c \
	lib/image/layout_vhdx.c \
	lib/image/layout_vhdx.h \
	lib/image/layout_vhdx_bat.c \
	lib/image/layout_vhdx_log.c \
	lib/image/layout_vhdx_metadata.c \
	lib/image/layout_vhdx_parts.c \
	lib/image/layout_vhdx_reader.h \
	lib/image/load.c \
	lib/image/map.c \
	lib/image/map.h \
	lib/image/metadata.c \
	lib/image/open.c \
	lib/image/open.h \
	lib/image/parent.c \
	lib/image/parent.h \
	lib/image/parent_time.c \
	lib/image/parent_time.h \
	lib/image/place.c \
	lib/image/place.h \
	lib/image/plan.c \
	lib/image/plan.h \
	lib/image/read.c \
	lib/image/reclaim.c \
	lib/image/recover.c \
	lib/image/recover.h \
	lib/image/replay.c \
	lib/image/replay.h \
	lib/image/request.c \
	lib/image/request.h \
	lib/image/shared.c \
	lib/image/shared.h \
	lib/image/slots.c \
	lib/image/slots.h \
	lib/image/space.c \
	lib/image/space.h \
	lib/image/state.h \
	lib/image/step.c \
	lib/image/sync.c \
	lib/image/waiters.c \
	lib/image/waiters.h \
	lib/store/companion.c \
	lib/store/companion.h \
	lib/store/companion_note.c \
	lib/store/companion_note.h \
	lib/store/disk.c \
	lib/store/disk.h \
	lib/store/extents.c \
	lib/store/extents.h \
	lib/store/file.c \
	lib/store/file.h \
	lib/store/folder.c \
	lib/store/folder.h \
	lib/store/holder.c \
	lib/store/holder.h \
	lib/store/host.c \
	lib/store/host.h \
	lib/store/journal_file.c \
	lib/store/journal_find.c \
	lib/store/journal_head.c \
	lib/store/journal_file.h \
	lib/store/journal_head.h \
	lib/store/journal_note.c \
	lib/store/journal_note.h \
	lib/store/journal_pin.c \
	lib/store/journal_pin.h \
	lib/store/journal_place.c \
	lib/store/journal_place.h \
	lib/store/local.c \
	lib/store/local.h \
	lib/store/lock.c \
	lib/store/lock.h \
	lib/store/loop.c \
	lib/store/loop.h \
	lib/store/lookup.c \
	lib/store/lookup.h \
	lib/store/mounts.c \
	lib/store/mounts.h \
	lib/store/names.c \
	lib/store/names.h \
	lib/store/newfile.c \
	lib/store/newfile.h \
	lib/store/patched.c \
	lib/store/patched.h \
	lib/store/redo.c \
	lib/store/redo.h \
	lib/store/redo_record.c \
	lib/store/redo_record.h \
	lib/store/syncs.c \
	lib/store/syncs.h \
	lib/store/times.c \
	lib/store/times.h \
	lib/ops/blank.c \
	lib/ops/blank.h \
	lib/ops/chain_options.h \
	lib/ops/check.c \
	lib/ops/check.h \
	lib/ops/check_bitmaps.c \
	lib/ops/check_journal.c \
	lib/ops/check_report.c \
	lib/ops/check_space.c \
	lib/ops/children.c \
	lib/ops/children.h \
	lib/ops/compact.c \
	lib/ops/compare.c \
	lib/ops/content.c \
	lib/ops/content.h \
	lib/ops/convert.c \
	lib/ops/copy.c \
	lib/ops/copy.h \
	lib/ops/create.c \
	lib/ops/create.h \
	lib/ops/disk_target.c \
	lib/ops/disk_target.h \
	lib/ops/edit.c \
	lib/ops/edit.h \
	lib/ops/inplace.c \
	lib/ops/inplace.h \
	lib/ops/list.c \
	lib/ops/locators.c \
	lib/ops/merge.c \
	lib/ops/output.c \
	lib/ops/parent_ref.c \
	lib/ops/parent_ref.h \
	lib/ops/rebase.c \
	lib/ops/relink.c \
	lib/ops/repair.c \
	lib/ops/remains.c \
	lib/ops/remains.h \
	lib/ops/reparent.c \
	lib/ops/reparent.h \
	lib/ops/rescue.c \
	lib/ops/resize.c \
	lib/ops/resize.h \
	lib/ops/resize_file.c \
	lib/ops/set.c \
	lib/ops/settle.c \
	lib/ops/settle.h \
	lib/ops/snapshot.c \
	lib/ops/target.c \
	lib/ops/target.h \
	lib/ops/walk.c \
	lib/ops/walk.h

# Where the library goes to a folder of the loader's own (/usr/local/lib, say),
# libtool gives the programs no run path, and they start only once the loader's
# cache knows it.  With DESTDIR it is to run on another machine; and who is not
# root cannot do that.
install-exec-hook:
	@PATH="$$PATH:/usr/sbin:/sbin"; \
	test -z "$(DESTDIR)" && test "`id -u`" = 0 || exit 0; \
	for dir in `ldconfig -N -X -v 2>/dev/null | sed -n 's,^\(/[^:]*\):.*,\1,p'`; \
	do \
	  test "$$dir" -ef "$(libdir)" || continue; \
	  echo " ldconfig"; \
	  ldconfig; \
	  break; \
	done

include_HEADERS += lib/vhdkit.h lib/vhdkit_image.h lib/vhdkit_manage.h
lib_LTLIBRARIES += lib/libvhdkit.la
lib_libvhdkit_la_SOURCES =
lib_libvhdkit_la_LIBADD = lib/libvhdkit-core.la
lib_libvhdkit_la_LDFLAGS = $(AM_LDFLAGS) -no-undefined \
	-version-info $(VHDKIT_VERSION_INFO) \
	-Wl,--version-script=$(srcdir)/lib/vhdkit.map
EXTRA_lib_libvhdkit_la_DEPENDENCIES = $(srcdir)/lib/vhdkit.map
EXTRA_DIST += lib/vhdkit.map
dist_man_MANS += lib/libvhdkit.3
EXTRA_DIST += lib/libvhdkit.pod

# man vhd_open, and so for each function.
functions = sed -n 's/^ *\(vhd_[a-z_]*\);$$/\1/p' $(srcdir)/lib/vhdkit.map
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(man3dir)'
	@for function in `$(functions)`; do \
	  echo '.so man3/libvhdkit.3' \
	    >'$(DESTDIR)$(man3dir)'/$$function.3 || exit; \
	done
uninstall-local:
	@for function in `$(functions)`; do \
	  rm -f '$(DESTDIR)$(man3dir)'/$$function.3; \
	done

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = lib/vhdkit.pc
