"""Virtual time over the plane's own routing: engines, managed APIs and clients that are made up.

    scenario ── arrivals ─▶ clients ─▶ line ─▶ targets: engine | provider
                                        │          │
                 routing.chooser, breaker, retry_budget, again    └─▶ tally ─▶ report, pictures

A file each: `agenda` (time), `engine` with `cache` and `figures`, `provider`, `line`, `clients`,
`workloads`, `traces` and `replay` (arrivals), `faults`, `scenario` (the file), `fleet` and `run`
(composition), `report`, `pictures`, `calibration`. Deterministic: all chance follows from the seed.
"""
