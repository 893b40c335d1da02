# The NBD clients that people have, old and current, against vhdkitd.
# See tests/local.mk for how to add a test.
#
#   make check-clients     those that are installed and those of Debian 13, in
#                          a root that is made for them once (root, debootstrap
#                          and a mirror of Debian permitting); prints a table
#                          of clients and operations
#   make debian13          only that root, in tests/clients/debian13
#
# make check runs those that are installed, and Debian 13's if its root is
# there.

dist_check_SCRIPTS += tests/clients/clients.py tests/clients/make-root
TESTS += tests/clients/clients.py
dist_check_DATA += \
	tests/clients/generation.py \
	tests/clients/guest.py \
	tests/clients/matrix.py \
	tests/clients/ops.py

.PHONY: check-clients debian13 clean-debian13
debian13:
	@$(srcdir)/tests/clients/make-root \
	  '$(abs_top_builddir)/tests/clients/debian13' trixie
check-clients: debian13
	@$(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/clients/clients.py; \
	status=$$?; \
	sed -n 's/^# |/|/p' tests/clients/clients.py.log; \
	exit $$status
clean-debian13:
	rm -rf tests/clients/debian13 tests/clients/debian13.*
distclean-local: clean-debian13
