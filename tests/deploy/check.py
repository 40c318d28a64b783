"""Runs each check of deploy/ that needs no cluster and no container, and says what it looked at.

Invariants: one vedetta with a Redis and a Sentinel of its own answers what metrics exist; it is stopped whatever
happens. The first finding of a check ends that check, not the others.

Not here: what is checked (schema.py, wiring.py, alerts.py, dashboard.py, pages.py, verification.py); containers
(scenario.py).
"""

import sys
import time

import alerts
import dashboard
import pages
import schema
import verification
import wiring
from found import Finding
from live import Live


def main() -> int:
    failed = 0
    with Live() as live:
        names = live.metrics()
        checks = [
            ("schemas", schema.check),
            ("wiring", wiring.check),
            ("configuration", lambda: wiring.check_configuration(live.binary)),
            ("rules", lambda: alerts.check(names)),
            ("tests of the rules", alerts.check_mutants),
            ("dashboard", lambda: dashboard.check(names)),
            ("runbook and scripts", pages.check),
            ("verification", lambda: verification.check(live.binary, live.socket)),
        ]
        for name, check in checks:
            began = time.monotonic()
            try:
                said = check()
            except Finding as finding:
                failed += 1
                print(f"  FAILED {name}: {finding}", file=sys.stderr)
            else:
                print(f"  ok: {name}: {said} ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
