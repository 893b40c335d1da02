# Interoperation: images written by qemu and others, read and written both
# ways.
# See tests/local.mk for how to add a test.

INTEROP_TESTS = \
	tests/interop/qemu-vpc.py \
	tests/interop/real-images.py
dist_check_SCRIPTS += $(INTEROP_TESTS)
TESTS += $(INTEROP_TESTS)
