# The conformance prober: NBD's rules, checked against any server.
# See tests/local.mk for how to add a test.
