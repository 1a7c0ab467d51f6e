#!/usr/bin/env bash
# From an empty machine to a trained model: two CPU cores, about four hours with the times below; REHEARSE=1 takes minutes.
# Every step can be stopped and given again: it goes on where it was. What each step is for: docs/howto/train.md
set -euo pipefail
cd "$(dirname "$0")/.."

export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}   # threads wait asleep: ten times faster where other work shares the cores
W=${WORK:-work/speedrun}
OUT=${OUT:-$W/tiny}
if [ -n "${REHEARSE:-}" ]; then
    S="--size smoke"; RS="--size smoke"
    CODEC_CLIPS=32 PICTURES=64 CLIPS=64 READER_CLIPS=32 SCENES=60
    TEXT=0.2 TRAIN=0.5 GUIDANCE=0.2 DECODER=0.2 READER=0.2 SCRIPTS=64 DIRECTOR=0.2 PAINTER=0.2
else
    S="--size small"; RS="--size small --height 128 --width 128"
    CODEC_CLIPS=128 PICTURES=${PICTURES:-4096} CLIPS=${CLIPS:-2048} READER_CLIPS=3000 SCENES=2500
    TEXT=${TEXT:-6} TRAIN=${TRAIN:-90} GUIDANCE=${GUIDANCE:-10} DECODER=${DECODER:-15} READER=${READER:-25} SCRIPTS=12288 DIRECTOR=${DIRECTOR:-30} PAINTER=${PAINTER:-45}
fi
mkdir -p "$W"

# An environment with the four packages that the model side needs.
[ -x .venv/bin/kinora ] || make .venv/film.stamp
MIX=${MIX:-wide} READER_MIX=${READER_MIX:-wide-reader}   # world 2.0; training and reader are world 1.0
kinora() { nice -n 5 .venv/bin/kinora "$@"; }

# 1. A few hundred clips of neighbouring frames; the codec's encoder from them in closed form.
kinora train library --for codec $S --mix "$MIX" --clips $CODEC_CLIPS --processes 2 --out "$W/codec-library"
kinora train codec $S --library "$W/codec-library" --run "$W/codec-run" --out "$W/codec.safetensors"

# 2. Many single pictures, and clips kept as latents: five moments of each, eight captions each, maps of what they show; as many again of
#    the plainer world 1.0; portraits of those who are in them.
L="kinora train library $S --processes 2 --codec $W/codec.safetensors"
for mix in "$MIX" training; do
    $L --mix "$mix" --latent-frames 1 --clips "$PICTURES" --first-seed 100000000 --keep-frames --out "$W/pictures-$mix"
    $L --mix "$mix" --clips "$CLIPS" --out "$W/library-$mix"
    $L --portraits --out "$W/library-$mix"
done
SHOWN="--library $W/library-$MIX $W/library-training --image-library $W/pictures-$MIX $W/pictures-training --codec $W/codec.safetensors"

# 3. Vocabulary and text encoder, from captions alone.
kinora train text $S --mix "$MIX" --scenes $SCENES --minutes "$TEXT" --run "$W/text-run" --out "$W/text.safetensors"

# 4. The transformer, and the text encoder with it; every task at its share (--share NAME=VALUE changes one); then a student of it that
#    needs one call a step. Watch $W/run/loss.png and the sheets beside it.
kinora train transformer $S $SHOWN --text "$W/text.safetensors" --minutes "$TRAIN" \
    --run "$W/run" --out "$W/transformer.safetensors"
kinora train distil $S $SHOWN --stage guidance --text "$W/transformer-text.safetensors" --teacher "$W/transformer.safetensors" \
    --minutes "$GUIDANCE" --run "$W/guidance-run" --out "$W/guidance.safetensors"

# 5. The decoder's learned correction; the encoder, and so the latents, stay as they are.
kinora train codec $S --library "$W/codec-library" --start "$W/codec.safetensors" --minutes "$DECODER" \
    --run "$W/decoder-run" --out "$W/codec-trained.safetensors"

# 6. The reader, our judge, on clips of its own.
kinora train library --for reader $RS --mix "$READER_MIX" --clips $READER_CLIPS --processes 2 --out "$W/reader-library"
kinora train reader --library "$W/reader-library" --stills "$W/pictures-$MIX" --minutes "$READER" --run "$W/reader-run" --out "$W/reader.safetensors"

# 7. The director, from scenes that nobody renders.
kinora train director --text "$W/transformer-text.safetensors" --mix "$MIX" training --scenes $SCRIPTS --processes 2 --minutes "$DIRECTOR" \
    --run "$W/director-run" --out "$W/director.safetensors"

# 8. The painter, from the clips and pictures of step 2.
kinora train painter --library "$W/library-$MIX" "$W/library-training" "$W/pictures-$MIX" "$W/pictures-training" --codec "$W/codec.safetensors" \
    --minutes "$PAINTER" --run "$W/painter-run" --out "$W/painter.safetensors"

# 9. One folder with a manifest, and a film from it.
kinora train bundle --codec "$W/codec-trained.safetensors" --text "$W/transformer-text.safetensors" \
    --transformer "$W/guidance.safetensors" --director "$W/director.safetensors" --painter "$W/painter.safetensors" --reader "$W/reader.safetensors" --sketch 5 --out "$OUT"
kinora generate "a red ball rolls to the right on sand" --model "$OUT/." -o "$W/film.mp4" --force
