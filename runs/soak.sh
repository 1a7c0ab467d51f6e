#!/usr/bin/env bash
# The service's promises in their long forms, one after the other; some hours on two cores. Figures go to docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

# No accepted task lost, effects once, under a SIGKILL of a random process every 5 s or less
"$python" benchmarks/soak_tasks.py --tasks 12000 --every 5
# Late writers, idempotency keys, quotas, refunds, memory, poison
"$python" benchmarks/soak_promises.py late --count 1000
"$python" benchmarks/soak_promises.py keys --count 1000 --times 50
"$python" benchmarks/soak_promises.py quota --count 10000 --clients 50
"$python" benchmarks/soak_promises.py refunds --count 50
"$python" benchmarks/soak_promises.py memory --count 100
"$python" benchmarks/soak_promises.py poison --count 60
# The ledger: a million acts, eight processes, two hundred kills
"$python" benchmarks/soak_ledger.py --operations 1000000 --processes 8 --kills 200
# Callbacks, with the receiver failing half the time and the sender killed
"$python" benchmarks/soak_webhooks.py --events 5000
# Hostile media: Pillow's own corpus, mutants of pictures and films
"$python" benchmarks/soak_media.py
# Labels and credentials on every output
"$python" benchmarks/soak_labels.py --outputs 200
# A thousand requests for every operation
"$python" benchmarks/soak_api.py --examples 1000
# The bundled model: fifty requests, the same frames before and after a restart
"$python" benchmarks/soak_model.py --count 50
# How fast tasks are accepted, beside the engine's own rate
"$python" benchmarks/submit.py --waiting 100000
"$python" benchmarks/submit.py --postgres --waiting 100000
