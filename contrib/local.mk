# systemd units and shell completion: see Makefile.am for the lists.

dist_bashcompletion_DATA = \
	contrib/completions/vhdkit \
	contrib/completions/vhdkitd

EXTRA_DIST += \
	contrib/systemd/vhdkitd.service.in \
	contrib/systemd/vhdkitd.socket

contrib/systemd/vhdkitd.service: contrib/systemd/vhdkitd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	  sed 's,@sbindir\@,$(sbindir),g' \
	    $(srcdir)/contrib/systemd/vhdkitd.service.in >$@.tmp && \
	  mv $@.tmp $@
CLEANFILES += contrib/systemd/vhdkitd.service
check_DATA += contrib/systemd/vhdkitd.service

if HAVE_SYSTEMD_UNITDIR
systemdsystemunit_DATA = \
	contrib/systemd/vhdkitd.service \
	contrib/systemd/vhdkitd.socket
endif
