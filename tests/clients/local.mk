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

CLIENT_TESTS = \
	tests/clients/debian13.py \
	tests/clients/installed.py
dist_check_SCRIPTS += $(CLIENT_TESTS) tests/clients/make-root
TESTS += $(CLIENT_TESTS)
dist_check_DATA += \
	tests/clients/clients.py \
	tests/clients/generation.py \
	tests/clients/guest.py \
	tests/clients/matrix.py \
	tests/clients/ops.py

.PHONY: check-clients debian13 clean-debian13
debian13:
	@$(srcdir)/tests/clients/make-root \
	  '$(abs_top_builddir)/tests/clients/debian13' trixie
check-clients: debian13
	@$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(CLIENT_TESTS)'; \
	status=$$?; \
	cat $(CLIENT_TESTS:=.log) | sed -n 's/^# |/|/p' | \
	  awk '!seen[$$0]++ { print NR < 3 ? NR : 3, $$0 }' | sort | \
	  sed 's/^[0-9] //'; \
	exit $$status
clean-debian13:
	rm -rf tests/clients/debian13 tests/clients/debian13.new \
	  tests/clients/debian13.why tests/clients/debian13.log
distclean-local: clean-debian13
