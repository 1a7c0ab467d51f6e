#!/usr/bin/env bash
# The same on a time-limited GPU box without network: the system's python with torch, numpy, safetensors and pillow, no install.
# One call is one part of at most PART seconds; calls continue one another in $WORK on that box's disk; BUDGET is for all of them.
# Results, in shards under 16 MiB, land in $OUT whenever there is something to bring home.
#
#   BUDGET=1400 PART=520 OUT=out bash runs/gpu.sh        give it again until it prints "gpu.sh: finished"
#   rehearsal without a GPU:  SIZE=smoke DEVICE=cpu BUDGET=400 PART=600 CLIPS=24 PICTURES=32 READER_CLIPS=12 PROCESSES=1 CODEC_CLIPS=16 SCENES=30 SCRIPTS=64 OUT=/tmp/out bash runs/gpu.sh
set -euo pipefail
cd "$(dirname "$0")/.."

BEGAN=$(date +%s)
PYTHON=${PYTHON:-python3}
SIZE=${SIZE:-gpu} DEVICE=${DEVICE:-cuda} BUDGET=${BUDGET:-1400} PART=${PART:-520}
WORK=${WORK:-/tmp/kinora-gpu} OUT=${OUT:-$WORK/out}
CLIPS=${CLIPS:-12288} PICTURES=${PICTURES:-16384} CODEC_CLIPS=${CODEC_CLIPS:-256} SCENES=${SCENES:-2000} SCRIPTS=${SCRIPTS:-12288} READER_CLIPS=${READER_CLIPS:-8192}
# World 2.0 (docs/vocabulary.md): what libraries show, what the vocabulary says, what the reader is asked. Of world 1.0: training, reader.
MIX=${MIX:-wide} READER_MIX=${READER_MIX:-wide-reader}
# Sampling scenes takes longer than tracing them on a GPU: several renderers share it.
PROCESSES=${PROCESSES:-8}
# Steps that a student of the transformer is taught; 0 leaves that out, and its time to the transformer.
FEW_STEPS=${FEW_STEPS:-6}
mkdir -p "$WORK" "$OUT"
export PYTHONPATH=src
PROGRAM='import sys; from kinora.cli.main import main; sys.exit(main())'
kinora() { "$PYTHON" -c "$PROGRAM" "$@"; }
S="--size $SIZE --device $DEVICE"
share() { awk -v b="$BUDGET" -v s="$1" 'BEGIN { printf "%.3f", b * s / 60 }'; }   # minutes that are a share of the budget
left() { echo $((PART - ($(date +%s) - BEGAN))); }                              # seconds left in this part

bring_home() {   # whatever is trained so far, as a model folder
    local codec=$WORK/codec.safetensors reader= director= painter=
    if [ -f "$WORK/director.safetensors" ]; then director="--director $WORK/director.safetensors"; fi
    if [ -f "$WORK/painter.safetensors" ]; then painter="--painter $WORK/painter.safetensors"; fi
    if [ -f "$WORK/reader.safetensors" ]; then reader="--reader $WORK/reader.safetensors"; fi
    [ -f "$WORK/codec-trained.safetensors" ] && codec=$WORK/codec-trained.safetensors
    local probe="--probe $WORK/probe.json --storage $("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["choice"]["storage"])' "$WORK/probe.json")"
    kinora train bundle --codec "$codec" --text "$WORK/transformer-text.safetensors" $probe \
        --transformer "$WORK/transformer.safetensors" $director $painter $reader --sketch 5 --name tiny --out "$WORK/tiny"
    rm -rf "$OUT/tiny" && cp -r "$WORK/tiny" "$OUT/tiny"
    if [ -f "$WORK/few.safetensors" ]; then   # beside the full sampler: which of them ships is for `kinora measure` to say
        kinora train bundle --codec "$codec" --text "$WORK/transformer-text.safetensors" $probe \
            --transformer "$WORK/few.safetensors" $director $painter $reader --name tiny --out "$WORK/tiny-few"
        rm -rf "$OUT/tiny-few" && cp -r "$WORK/tiny-few" "$OUT/tiny-few"
    fi
    cp "$WORK"/probe.json "$WORK"/run/loss.png "$WORK"/run/metrics.jsonl "$WORK"/run/run.json "$OUT/" 2>/dev/null || true
    local sheet; sheet=$(ls "$WORK"/run/sheet-*.png 2>/dev/null | tail -1 || true)
    if [ -n "$sheet" ]; then cp "$sheet" "$OUT/sheet.png"; fi
}

step() {   # step NAME COMMAND...: once; exit code 3 (stopped to be continued) or a spent part ends this call
    local name=$1; shift
    [ -e "$WORK/$name.done" ] && return 0
    if [ "$(left)" -lt 5 ]; then echo "gpu.sh: part over before $name; call again"; exit 0; fi
    local code=0; "$@" || code=$?
    if [ $code -eq 3 ]; then
        [ "$name" = transformer ] && bring_home
        echo "gpu.sh: part over in $name; call again"; exit 0
    fi
    if [ $code -ne 0 ]; then exit $code; fi
    touch "$WORK/$name.done"
}

# 0. What this device can do, and from that the transformer's size and batch: probe.json, which the model card shows.
GENERATOR=0.26; if [ "$FEW_STEPS" -gt 0 ]; then GENERATOR=0.16; fi
COMPILE=; if [ "$DEVICE" = cuda ]; then COMPILE=--compile; fi
step probe kinora train probe $S $COMPILE --mix "$MIX" --processes "$PROCESSES" --minutes "$(share "$GENERATOR")" --render-minutes "$(share 0.16)" \
    --limit "$(awk -v b="$BUDGET" 'BEGIN { print 0.06 * b }')" --out "$WORK/probe.json"
P="--probe $WORK/probe.json"

# 1. Clips for the codec, and its encoder in closed form.
step codec-library kinora train library --for codec $S --mix "$MIX" --clips "$CODEC_CLIPS" --processes "$PROCESSES" --out "$WORK/codec-library"
step codec kinora train codec $S --library "$WORK/codec-library" --run "$WORK/codec-run" --out "$WORK/codec.safetensors"

# 2. Single pictures, which are mixed into the steps of clips; clips for the transformer, kept as latents, with maps of what they show;
#    portraits of those who are in them.
render() {   # render SHARE ARGUMENTS...: stops at its share of the budget; the whole shards that are there by then are the library
    local code=0 share=$1; shift
    timeout -s INT "$(awk -v b="$BUDGET" -v s="$share" -v l="$(left)" 'BEGIN { t = s * b; print int(t < l - 10 ? t : l - 10) }')" \
        "$PYTHON" -c "$PROGRAM" train library "$@" --processes "$PROCESSES" || code=$?
    [ $code -eq 0 ] || [ $code -eq 124 ] || [ $code -eq 130 ]
}
step pictures render 0.09 $S --mix "$MIX" --latent-frames 1 --clips "$PICTURES" --first-seed 100000000 --keep-frames --out "$WORK/pictures"
step library render 0.16 $S --mix "$MIX" --clips "$CLIPS" --codec "$WORK/codec.safetensors" --out "$WORK/library"
step portraits render 0.02 --device "$DEVICE" --portraits --codec "$WORK/codec.safetensors" --out "$WORK/library"
step picture-portraits render 0.02 --device "$DEVICE" --portraits --codec "$WORK/codec.safetensors" --out "$WORK/pictures"

# 3. Vocabulary and text encoder.
step text kinora train text $S --mix "$MIX" --scenes "$SCENES" --minutes "$(share 0.05)" --stop-after "$(left)" \
    --run "$WORK/text-run" --out "$WORK/text.safetensors"

# 4. Transformer and text encoder together, every task at its share: most of the budget. Auxiliary heads learn the maps beside it and stay here.
SHARES=${SHARES:-}   # for example: SHARES="--share guide=0.2 --share region=0.1"
step transformer kinora train transformer $S $P $COMPILE --image-library "$WORK/pictures" --library "$WORK/library" --codec "$WORK/codec.safetensors" \
    --text "$WORK/text.safetensors" --minutes "$(share "$GENERATOR")" $SHARES --stop-after "$(($(left) - 15))" \
    --run "$WORK/run" --out "$WORK/transformer.safetensors"
bring_home

# 5. What says first where things stand, from scenes that were sampled beside the renderers and never rendered.
step director kinora train director --device "$DEVICE" --mix "$MIX" --scripts "$WORK/scripts" --scenes "$SCRIPTS" --processes "$PROCESSES" \
    --text "$WORK/transformer-text.safetensors" --minutes "$(share 0.05)" --stop-after "$(($(left) - 15))" \
    --run "$WORK/director-run" --out "$WORK/director.safetensors"
bring_home

# 6. What draws the things that the director places, from the same clips and pictures.
step painter kinora train painter --device "$DEVICE" --library "$WORK/library" "$WORK/pictures" --codec "$WORK/codec.safetensors" \
    --minutes "$(share 0.05)" --stop-after "$(($(left) - 15))" --run "$WORK/painter-run" --out "$WORK/painter.safetensors"
bring_home

# 7. A student of the transformer with guidance built in, then one of that student in few steps.
distil() {   # distil SHARE TEACHER OUT ARGUMENTS...
    local share=$1 teacher=$2 out=$3; shift 3
    kinora train distil $S $P $COMPILE --image-library "$WORK/pictures" --library "$WORK/library" --codec "$WORK/codec.safetensors" \
        --text "$WORK/transformer-text.safetensors" --teacher "$WORK/$teacher.safetensors" --minutes "$(share "$share")" "$@" \
        --stop-after "$(($(left) - 15))" --run "$WORK/$out-run" --out "$WORK/$out.safetensors"
}
if [ "$FEW_STEPS" -gt 0 ]; then
    step guidance distil 0.05 transformer guidance --stage guidance
    step few distil 0.05 guidance few --stage steps --few-steps "$FEW_STEPS"
fi

# 8. The decoder's learned correction.
step decoder kinora train codec $S --library "$WORK/codec-library" --start "$WORK/codec.safetensors" \
    --minutes "$(share 0.07)" --stop-after "$(($(left) - 15))" --run "$WORK/decoder-run" --out "$WORK/codec-trained.safetensors"

# 9. The reader, our judge, on clips of its own.
RS="--size $SIZE --device $DEVICE --height 128 --width 128"; if [ "$SIZE" = smoke ]; then RS=$S; fi
step reader-library render 0.07 --for reader $RS --mix "$READER_MIX" --clips "$READER_CLIPS" --out "$WORK/reader-library"
step reader kinora train reader --device "$DEVICE" --library "$WORK/reader-library" --stills "$WORK/pictures" --minutes "$(share 0.1)" \
    --stop-after "$(($(left) - 15))" --run "$WORK/reader-run" --out "$WORK/reader.safetensors"
bring_home
echo "gpu.sh: finished"
