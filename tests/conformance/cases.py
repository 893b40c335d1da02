# SPDX-License-Identifier: BSD-2-Clause
#
# Fills harness.CASES, in the order in which the cases run and are shown.

import cases_handshake      # noqa: F401
import cases_contexts       # noqa: F401
import cases_tls            # noqa: F401
import cases_transmission   # noqa: F401
import cases_export         # noqa: F401
import cases_data           # noqa: F401
import cases_extended       # noqa: F401
import cases_history        # noqa: F401
import cases_shutdown       # noqa: F401
