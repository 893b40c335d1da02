# The simulator: the request machine over a simulated disk, through enumerated
# power cuts, failing I/O and random completion order.
# See tests/local.mk for how to add a test.
