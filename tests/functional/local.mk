# Functional tests: the programs as a user runs them, with real NBD clients.
# See tests/local.mk for how to add a test.
