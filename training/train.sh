#!/usr/bin/env bash
# Makes the built-in detector from nothing: renders the data sets, trains, exports. Run again after
# an interruption it goes on where it was.
#
#   pip install -r sim/requirements.txt -r training/requirements.txt
#   training/train.sh
#
#   PYTHON=python3   STEPS=3600   SCENES=500 (of each of four data sets, five pictures a scene)
#   RUN=out/training
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3} STEPS=${STEPS:-3600} SCENES=${SCENES:-500} RUN=${RUN:-out/training}
export PYTHONPATH=sim:training HF_HUB_OFFLINE=1
# Large arrays come and go at every step: handing them back to the system each time costs a third
# of the speed.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000

data=$RUN/data
train=()
for seed in 11 12 13 14; do
    train+=("$data/train$seed")
    "$PYTHON" -m owlet_sim dataset "$data/train$seed" --scenes "$SCENES" --views 5 --seed "$seed" --combinations seen
done
"$PYTHON" -m owlet_sim dataset "$data/validate_seen" --scenes 150 --views 2 --seed 1001 --combinations seen
"$PYTHON" -m owlet_sim dataset "$data/validate_unseen" --scenes 150 --views 2 --seed 1002 --combinations unseen
"$PYTHON" -m owlet_training.train --data "${train[@]}" \
    --validate "$data/validate_seen" "$data/validate_unseen" --out "$RUN" --steps "$STEPS"
"$PYTHON" -m owlet_training.export "$RUN" models/owlet-nano
"$PYTHON" -m owlet_training.curves "$RUN/log.csv" "$RUN/curves.png"
