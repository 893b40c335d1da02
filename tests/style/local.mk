# Checks of the source tree itself: includes, headers, symbols, manual pages,
# scripts.  See tests/local.mk for how to add a test.  Each check also shows
# that it can fail.

style_tests = \
	tests/style/test-calls.py \
	tests/style/test-dist.sh \
	tests/style/test-docs.py \
	tests/style/test-files.py \
	tests/style/test-format.py \
	tests/style/test-headers.sh \
	tests/style/test-help.py \
	tests/style/test-includes.py \
	tests/style/test-install.sh \
	tests/style/test-installed.sh \
	tests/style/test-parity.py \
	tests/style/test-pod.sh \
	tests/style/test-shell.sh \
	tests/style/test-symbols.py \
	tests/style/test-units.sh

dist_check_SCRIPTS += $(style_tests)
TESTS += $(style_tests)
EXTRA_DIST += tests/style/rooms.py tests/style/tap.py
