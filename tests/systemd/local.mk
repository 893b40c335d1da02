# The systemd units, tried on a booted Debian 12: see check-unit.sh.  For every
# night (root, debootstrap and systemd-nspawn; the network once, 350 MB, two
# minutes the first time and one after that).

EXTRA_DIST += \
	tests/systemd/calls.py \
	tests/systemd/check-unit.sh \
	tests/systemd/inside.py

.PHONY: check-unit
check-unit: all
	SRCDIR='$(abs_top_srcdir)' BUILDDIR='$(abs_top_builddir)' \
	  '$(abs_top_srcdir)/tests/systemd/check-unit.sh'

# The machine is kept for the next time.
distclean-local: clean-unit
.PHONY: clean-unit
clean-unit:
	rm -rf --one-file-system unit
