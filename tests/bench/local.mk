# Benchmarks: built by hand (EXTRA_PROGRAMS), never run by make check.
# See tests/local.mk for how to add a test.
