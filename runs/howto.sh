#!/usr/bin/env bash
# Run every command of docs/howto as written, and draw the sheets those pages show.
#   bash runs/howto.sh            all pages
#   bash runs/howto.sh camera     one of them
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PATH=$ROOT/.venv/bin:$PATH
for page in ${*:-pictures extend camera brush references edit speech together}; do
    echo "== $page"
    work=$(mktemp -d)
    cp "$ROOT"/docs/howto/files/* "$work"
    # The lines of the page's ```sh blocks, in order.
    sed -n '/^```sh$/,/^```$/p' "$ROOT/docs/howto/$page.md" | grep -v '^```' >"$work/commands.sh"
    (cd "$work" && bash -eux commands.sh)
    # A row for every film that a command has written with -o, scenes included.
    films=$(grep -oE -- '-o [a-z_]+\.mp4' "$work/commands.sh" | sed 's/-o //')
    (cd "$work" && kinora sheet $films -o "$ROOT/docs/howto/sheets/$page.jpg" --frames 8 --height 112 --force)
    rm -rf "$work"
done
