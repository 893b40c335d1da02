# The fresh machine: both of bootstrap's commands in a minimal Debian 12, for
# every night (root, debootstrap, the network, 20 minutes, 4 GiB).
# FRESH_OPTIONS: see tests/fresh/check-fresh.sh.

EXTRA_DIST += tests/fresh/check-fresh.sh

.PHONY: check-fresh
check-fresh:
	SRCDIR='$(abs_top_srcdir)' BUILDDIR='$(abs_top_builddir)' \
	  '$(abs_top_srcdir)/tests/fresh/check-fresh.sh' $(FRESH_OPTIONS)
