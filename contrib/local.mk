# systemd units and shell completion: see Makefile.am for the lists.

dist_bashcompletion_DATA = \
	contrib/completions/vhdkit \
	contrib/completions/vhdkitctl \
	contrib/completions/vhdkitd

# zsh's are made of them: in between its own beginning and the call that zsh makes
# of a file, the one function that says what comes where.
zsh_completions = \
	contrib/completions/_vhdkit \
	contrib/completions/_vhdkitctl \
	contrib/completions/_vhdkitd

zshcompletion_DATA = $(zsh_completions)
CLEANFILES += $(zsh_completions)

$(zsh_completions): contrib/completions/_%: contrib/completions/% \
    contrib/completion.zsh.in
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	  { sed 's,@program\@,$*,g' $(srcdir)/contrib/completion.zsh.in && \
	    sed -n '/^_$*_complete()$$/,/^}$$/p' $< && \
	    echo && echo '_$* "$$@"'; } >$@.tmp && \
	  mv $@.tmp $@

EXTRA_DIST += \
	contrib/completion.zsh.in \
	contrib/prometheus/vhdkitd.grafana.json \
	contrib/prometheus/vhdkitd.rules.yml \
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
