#!/usr/bin/env bash
# Makes the built-in detector from nothing: renders the data sets, trains, exports. Run again after
# an interruption it goes on where it was.
#
#   pip install -r sim/requirements.txt -r training/requirements.txt
#   training/train.sh
#
# Two runs: a first one on small pictures, where a step is cheap, and a second one that goes on from
# its weights on larger pictures of scenes that are new to it.
#
#   PYTHON=python3   SCENES=500 (of each of seven data sets, five pictures a scene)
#   FIRST_STEPS=3600   SECOND_STEPS=1050   RUN=out/training
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3} SCENES=${SCENES:-500} RUN=${RUN:-out/training}
FIRST_STEPS=${FIRST_STEPS:-3600} SECOND_STEPS=${SECOND_STEPS:-1050}
export PYTHONPATH=sim:training HF_HUB_OFFLINE=1
# Large arrays come and go at every step: handing them back to the system each time costs a third
# of the speed.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000

data=$RUN/data
# render NAME OPTION…: one data set.
render() { "$PYTHON" -m owlet_sim dataset "$data/$1" "${@:2}"; }
# train NAME SEEDS OPTION…: one run on the data sets of these seeds.
train() {
    local sets=() seed
    for seed in $2; do
        render "train$seed" --scenes "$SCENES" --views 5 --seed "$seed" --combinations seen
        sets+=("$data/train$seed")
    done
    "$PYTHON" -m owlet_training.train --data "${sets[@]}" --out "$RUN/$1" \
        --validate "$data/validate_seen" "$data/validate_unseen" "${@:3}"
}

render validate_seen --scenes 150 --views 2 --seed 1001 --combinations seen
render validate_unseen --scenes 150 --views 2 --seed 1002 --combinations unseen
train first '11 12 13 14' --side-px 224 --steps "$FIRST_STEPS"
"$PYTHON" -m owlet_training.export "$RUN/first" "$RUN/first/checkpoint"
train second '21 22 23' --side-px 288 --steps "$SECOND_STEPS" --start-from "$RUN/first/checkpoint"
"$PYTHON" -m owlet_training.export "$RUN/second" models/owlet-nano
"$PYTHON" -m owlet_training.curves "$RUN/first/log.csv" "$RUN/second/log.csv" "$RUN/curves.png"
