# The conformance prober: NBD's rules, checked against any server.
# See tests/local.mk for how to add a test.
#
# The prober is installed, for whoever writes an NBD server.  The comparison
# with other servers (run-peers, which writes RESULTS.md) and the prober's own
# tests are not.

dist_bin_SCRIPTS = tests/conformance/vhdkit-nbd-probe
nbdprobedir = $(datadir)/vhdkit/nbd-probe
dist_nbdprobe_DATA = \
	tests/conformance/cases.py \
	tests/conformance/cases_contexts.py \
	tests/conformance/cases_data.py \
	tests/conformance/cases_export.py \
	tests/conformance/cases_extended.py \
	tests/conformance/cases_handshake.py \
	tests/conformance/cases_history.py \
	tests/conformance/cases_shutdown.py \
	tests/conformance/cases_tls.py \
	tests/conformance/cases_transmission.py \
	tests/conformance/harness.py \
	tests/conformance/proto.py \
	tests/conformance/report.py \
	tests/conformance/wire.py

dist_man_MANS += tests/conformance/vhdkit-nbd-probe.1
EXTRA_DIST += tests/conformance/vhdkit-nbd-probe.pod

dist_check_SCRIPTS += \
	tests/conformance/run-peers \
	tests/conformance/test-probe-bites.sh \
	tests/conformance/test-run-peers.py \
	tests/conformance/test-vhdkitd.sh \
	tests/conformance/wrong_server.py
TESTS += \
	tests/conformance/test-probe-bites.sh \
	tests/conformance/test-run-peers.py \
	tests/conformance/test-vhdkitd.sh

EXTRA_DIST += \
	tests/conformance/RESULTS.md \
	tests/conformance/peers.py \
	tests/conformance/toy.py \
	tests/conformance/toy_data.py \
	tests/conformance/toy_meta.py
