# systemd units and shell completion: see Makefile.am for the lists.

dist_bashcompletion_DATA = \
	contrib/completions/vhdkit \
	contrib/completions/vhdkitd

EXTRA_DIST += \
	contrib/systemd/vhdkitd.service.in \
	contrib/systemd/vhdkitd.socket

# Ready when it says so, where it can say so.
if HAVE_LIBSYSTEMD
service_type = notify
else
service_type = exec
endif

contrib/systemd/vhdkitd.service: contrib/systemd/vhdkitd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed \
	  -e 's,@sbindir\@,$(sbindir),g' \
	  -e 's,@service_type\@,$(service_type),g' \
	  $(srcdir)/contrib/systemd/vhdkitd.service.in >$@.tmp && mv $@.tmp $@
CLEANFILES += contrib/systemd/vhdkitd.service

if HAVE_SYSTEMD_UNITDIR
systemdsystemunit_DATA = \
	contrib/systemd/vhdkitd.service \
	contrib/systemd/vhdkitd.socket
endif
