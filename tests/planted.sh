#!/usr/bin/env bash
# The tests of the tests (F17): each planted bug must turn some suite red, and none of them may be
# red without one. Prints which suite caught which bug; fails when one survives.
#
#   tests/planted.sh            all of them
#   tests/planted.sh B6 B11     these
set -u
cd "$(dirname "$0")/.."
export RUST_BACKTRACE=0 LUBU_SIM_LIVES="${LUBU_SIM_LIVES:-120}"
limit="${LUBU_PLANTED_SECONDS:-300}"
logs="$(mktemp -d)"
trap 'rm -rf "$logs"' EXIT

# A release with a planted bug must not exist.
if rustc --edition 2024 --crate-type lib --emit metadata --out-dir "$logs" -C debug-assertions=off \
    --cfg 'feature="planted"' channels/planted.rs 2>"$logs/release" \
    || ! grep -q 'planted bugs are for tests only' "$logs/release"; then
    echo "a release with the feature \`planted\` was not refused"
    exit 1
fi

built="$(cargo test --no-run -p lubu-channels -p lubu --features lubu/planted 2>&1)" || { echo "$built"; exit 1; }
exe() { echo "$built" | sed -n "s|.*Executable.*(\(.*/$1-[0-9a-f]*\))|\1|p" | head -1; }
channels="$(exe lubu_channels)" lubu="$(exe lubu)" story="$(exe story)" sim="$(exe sim)"
cargo build --quiet -p lubu-torture --features lubu/planted || exit 1

# The cheap ones first: the first that is red has caught it.
suites=(channels model story matrix simulator power)
run() {
    case "$1" in
        channels) (cd channels && timeout "$limit" "../$channels") ;;
        model) timeout "$limit" "$lubu" --skip store::embedded ;;
        story) timeout "$limit" "$story" ;;
        matrix) timeout "$limit" "$sim" matrix ;;
        simulator) timeout "$limit" "$sim" simulator ;;
        power) timeout "$limit" target/debug/torture power --count "${LUBU_PLANTED_IMAGES:-300}" ;;
    esac >"$logs/$1" 2>&1
}

for suite in "${suites[@]}"; do
    if ! LUBU_PLANTED='' run "$suite"; then
        echo "red without a planted bug: $suite"
        tail -20 "$logs/$suite"
        exit 1
    fi
done

bugs=("$@")
[ ${#bugs[@]} -gt 0 ] || bugs=(B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 B14)
survived=0
printf '%-5s %-10s %s\n' bug caught by
for bug in "${bugs[@]}"; do
    caught='' by=''
    for suite in "${suites[@]}"; do
        # Only a disk that forgets can tell whether anything was synced.
        if [ "$bug" = B1 ] && [ "$suite" != power ]; then continue; fi
        if ! LUBU_PLANTED="$bug" run "$suite"; then
            caught="$suite"
            by="$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$logs/$suite" | head -1)"
            break
        fi
    done
    if [ -z "$caught" ]; then
        survived=$((survived + 1))
        caught='SURVIVED'
    fi
    printf '%-5s %-10s %s\n' "$bug" "$caught" "$by"
done
[ "$survived" -eq 0 ]
