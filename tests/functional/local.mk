# Functional tests: the programs as a user runs them, with real NBD clients.
# See tests/local.mk for how to add a test.

# The command line tool.
TOOL_TESTS = \
	tests/functional/tool-check.py \
	tests/functional/tool-create.py \
	tests/functional/tool-errors.py \
	tests/functional/tool-faults.py \
	tests/functional/tool-info.py \
	tests/functional/tool-readwrite.py
dist_check_SCRIPTS += $(TOOL_TESTS)
TESTS += $(TOOL_TESTS)
dist_check_DATA += \
	tests/functional/tooltest.py \
	tests/functional/vhdimage.py

# The server's data path.
SERVER_TESTS = \
	tests/functional/server-model.py
dist_check_SCRIPTS += $(SERVER_TESTS)
TESTS += $(SERVER_TESTS)
TSAN_TESTS += tests/functional/server-model.py
dist_check_DATA += tests/functional/servertest.py
