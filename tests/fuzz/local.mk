# Fuzz targets. Each is replayed over its corpus in make check; make fuzz runs
# them for as long as you like. FUZZ_LDFLAGS is -fsanitize=fuzzer in a tree
# configured with CC=clang --enable-fuzzing, else empty.
# See tests/local.mk for how to add a test.

include tests/fuzz/nbd.mk
