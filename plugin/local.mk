# nbdkit-vhd-plugin: see Makefile.am for the lists.

if HAVE_NBDKIT
nbdkitplugin_LTLIBRARIES = plugin/nbdkit-vhd-plugin.la
plugin_nbdkit_vhd_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) $(PUBLIC_CPPFLAGS)
plugin_nbdkit_vhd_plugin_la_CFLAGS = $(AM_CFLAGS) $(NBDKIT_CFLAGS)
plugin_nbdkit_vhd_plugin_la_LDFLAGS = $(AM_LDFLAGS) \
	-module -avoid-version -shared
plugin_nbdkit_vhd_plugin_la_LIBADD = lib/libvhdkit.la
# Libtool remembers the folder that it is linked for, which configure chooses.
EXTRA_plugin_nbdkit_vhd_plugin_la_DEPENDENCIES = Makefile
plugin_nbdkit_vhd_plugin_la_SOURCES = \
	plugin/children.c \
	plugin/children.h \
	plugin/exports.c \
	plugin/exports.h \
	plugin/folder.c \
	plugin/folder.h \
	plugin/image.c \
	plugin/image.h \
	plugin/roots.c \
	plugin/roots.h \
	plugin/vhd.c
endif
dist_man_MANS += plugin/nbdkit-vhd-plugin.1
EXTRA_DIST += plugin/nbdkit-vhd-plugin.pod
