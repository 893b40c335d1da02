# Interoperation: images written by qemu and others, read and written both
# ways.
# See tests/local.mk for how to add a test.
