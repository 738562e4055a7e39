#!/usr/bin/env bash
# Makes the built-in segmenter from nothing: renders the data sets, trains, exports. Run again after
# an interruption it goes on where it was. With a GPU it takes minutes, and can take the detector
# along: that one goes on from its weights on the same pictures.
#
#   pip install -r sim/requirements.txt -r training/requirements.txt
#   training/segment.sh
#
# Training starts as soon as the first data set is there and takes in the others as they come.
#
#   PYTHON=python3   RUN=out/segmenter   SEED=0
#   SETS=12 data sets of SCENES=320 scenes with five pictures each; none is begun after RENDER_SECONDS
#   MINUTES=360      of training; the learning rate follows
#   END_SECONDS=     instead of MINUTES: training ends so long after this script's start
#   BATCH=48 OBJECTS=8 (prompts for each picture)   VALIDATION_SECONDS=45 (between validations)
#   VALIDATION_SCENES=75 (of each of two data sets, two pictures a scene)
#   DETECTOR=        yes: the detector, too; DETECTOR_BATCH=64 DETECTOR_WORKERS=8 DEVICE=cuda
#   RENDER_NICE=10   RENDER_WORKERS=0 (one for each core)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3} RUN=${RUN:-out/segmenter} SEED=${SEED:-0}
SETS=${SETS:-12} SCENES=${SCENES:-320} RENDER_SECONDS=${RENDER_SECONDS:-1000000}
MINUTES=${MINUTES:-360} BATCH=${BATCH:-48} OBJECTS=${OBJECTS:-8} VALIDATION_SECONDS=${VALIDATION_SECONDS:-45}
END_SECONDS=${END_SECONDS:-} VALIDATION_SCENES=${VALIDATION_SCENES:-75} DEVICE=${DEVICE:-cuda}
DETECTOR=${DETECTOR:-} DETECTOR_BATCH=${DETECTOR_BATCH:-64} DETECTOR_WORKERS=${DETECTOR_WORKERS:-8}
RENDER_NICE=${RENDER_NICE:-10} RENDER_WORKERS=${RENDER_WORKERS:-0}
export PYTHONPATH=sim:training${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
# As in train.sh.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000

data=$RUN/data
mkdir -p "$data"
sets=()
for ((i = 0; i < SETS; i++)); do sets+=("$data/train$((31 + i))"); done
validation=("$data/validate_seen" "$data/validate_unseen")

# render FOLDER OPTION…: one data set and its arrays.
render() {
    nice -n "$RENDER_NICE" "$PYTHON" -m owlet_sim dataset "$1" --workers "$RENDER_WORKERS" "${@:2}" >> "$RUN/render.log"
    nice -n "$RENDER_NICE" "$PYTHON" -m owlet_training.segment_data "$1"
    if [[ $DETECTOR ]]; then nice -n "$RENDER_NICE" "$PYTHON" -m owlet_training.data "$1"; fi
    echo "rendered $1 after $SECONDS s"
}
# render_set NUMBER: a data set to learn from.
render_set() { render "${sets[$1]}" --scenes "$SCENES" --views 5 --seed $((31 + $1)) --combinations seen; }
render_more() {
    local i
    for ((i = 1; i < SETS && SECONDS < RENDER_SECONDS; i++)); do render_set "$i"; done
}

first=()
render "${validation[0]}" --scenes "$VALIDATION_SCENES" --views 2 --seed 1101 --combinations seen &
first+=($!)
render "${validation[1]}" --scenes "$VALIDATION_SCENES" --views 2 --seed 1102 --combinations unseen &
first+=($!)
render_set 0
for job in "${first[@]}"; do wait "$job"; done
render_more &
others=($!)
trap 'kill "${others[@]}" 2> /dev/null || true' EXIT

# The programs take some 20 s to get started.
if [[ $END_SECONDS ]]; then MINUTES=$(((END_SECONDS - SECONDS - 20) * 100 / 60)) MINUTES=${MINUTES%??}.${MINUTES: -2}; fi
if [[ $DETECTOR ]]; then
    "$PYTHON" -W ignore -m owlet_training.train --data "${sets[@]}" --wait --validate "${validation[@]}" \
        --out "$RUN/detector" --start-from models/owlet-nano --side-px 288 --rate 0.5 --seed "$SEED" \
        --device "$DEVICE" --threads 4 --workers "$DETECTOR_WORKERS" --batch "$DETECTOR_BATCH" \
        --steps 1000000 --minutes "$MINUTES" --every 800 > "$RUN/detector.log" 2>&1 &
    others+=($!)
fi
"$PYTHON" -W ignore -m owlet_training.segment --data "${sets[@]}" --wait --validate "${validation[@]}" \
    --out "$RUN/run" --steps 1000000 --minutes "$MINUTES" --batch "$BATCH" --objects "$OBJECTS" \
    --every "$VALIDATION_SECONDS" --seed "$SEED"
"$PYTHON" -W ignore -m owlet_training.segment_export "$RUN/run" models/owlet-nano-seg
if [[ $DETECTOR ]]; then
    wait "${others[1]}"
    "$PYTHON" -W ignore -m owlet_training.export "$RUN/detector" "$RUN/detector/checkpoint"
fi
