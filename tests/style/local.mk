# Checks of the source tree itself: includes, headers, symbols, manual pages,
# scripts.
# See tests/local.mk for how to add a test.
