#!/bin/bash
# What whoever has an NVIDIA GPU runs, from the repository's root; nothing is installed:
#
#     OUT=results bash tests/device/run.sh correct
#     OUT=results bash tests/device/run.sh speed
#
# Each takes at most seven minutes on an H100: every part has a limit, and a part that fails or runs
# out of time is said and left behind. In OUT, for both: *.jsonl with all figures, *.log with all
# output, *.txt with a summary; and the tests' results, tests.xml and models.xml.
#
# ON (device), SCALE (device), PYTHON (python3), JOBS (8) and PATIENCE (1, times all limits) are for
# trying it without a GPU: ON=shapes SCALE=tiny runs it on a device that has shapes only,
# ON=stand-in on the strict stand-in.
set -u
VERB=${1:-}
ON=${ON:-device} SCALE=${SCALE:-device} PYTHON=${PYTHON:-python3} JOBS=${JOBS:-8} PATIENCE=${PATIENCE:-1}
OUT=${OUT:-device-day}
export PYTHONPATH=.${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 MPLBACKEND=agg
LINES=$OUT/$VERB.jsonl LOG=$OUT/$VERB.log FAILED=0
PYTEST=("$PYTHON" -m pytest --backend cupy -p no:cacheprovider -q)
FEW=()
[ "$ON" = device ] || FEW=(--stand-in -k "limits_are_read or uploads_keep or odd_number")

# part NAME SECONDS COMMAND...: run it within its limit; say its status. JSON lines go to LINES.
part() {
    local name=$1 limit=$2 begun=$SECONDS output status words=""
    shift 2
    output=$(mktemp)
    timeout $((limit * PATIENCE)) "$@" > "$output" 2>&1
    status=$?
    [ $status = 0 ] || words=", FAILED"
    [ $status = 124 ] && words=", out of time"
    { echo "== $name: $*"; cat "$output"; } >> "$LOG"
    grep '^{"section"' "$output" >> "$LINES"
    {
        echo "$name: status $status after $((SECONDS - begun)) s (limit $limit s)$words"
        tail -n 3 "$output" | cut -c 1-200 | sed 's/^/    /'
    }
    rm "$output"
    return $status
}

# section NAME SECONDS [ON]: one of tests/device/sections, which stops by itself a little earlier.
section() {
    part "$1" "$2" "$PYTHON" -m tests.device.measure "$1" --seconds $(($2 * PATIENCE * 9 / 10)) \
        --scale "$SCALE" --on "${3:-$ON}"
}

# suite NAME SECONDS FILES AND OPTIONS...: tests on the device.
suite() {
    part "$1" "$2" "${PYTEST[@]}" --junitxml="$OUT/$1.xml" "${@:3}" "${FEW[@]}"
}

# sanitized TOOL SECONDS COMMAND...
sanitized() {
    if command -v compute-sanitizer > /dev/null; then
        part "$1" "$2" compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20 \
            --target-processes all "${@:3}"
    else
        echo "$1: left out, compute-sanitizer is not here"
    fi
}

correct() {
    local job beside=() shared="attention or nearest or statistics or affine or gated or attend"
    shared="$shared or sample or moments or sum" # what has a kernel with shared memory
    "$PYTHON" -c "import xdist" 2> /dev/null && beside=(-n "$JOBS" --dist worksteal)
    part versions 40 "$PYTHON" -W error -m tests.device.measure versions --on "$ON" || FAILED=1
    section everything 100 || FAILED=1 # fills the cache of compiled kernels
    suite models 230 tests/gpu/test_memory.py tests/gpu/test_models.py &
    suite tests 230 tests/gpu/test_kernels.py tests/gpu/test_operations.py \
        tests/gpu/test_precision.py "${beside[@]}" &
    sanitized memcheck 230 "$PYTHON" -m tests.device.measure without_pool --on "$ON" &
    sanitized racecheck 230 "${PYTEST[@]}" tests/gpu/test_kernels.py \
        -k "agrees and float32 and ($shared or cross)" "${FEW[@]}" &
    section learn 230 processor &
    section learn 230 &
    for job in $(jobs -p); do wait "$job" || FAILED=1; done
    section repeat 45 || FAILED=1
}

speed() {
    local limits="ceilings:35 kernels:45 train:100 peer:85 peer_compiled:75 sample:60" limit
    for limit in $limits; do section "${limit%:*}" "${limit#*:}" || FAILED=1; done
}

case $VERB in
correct | speed) mkdir -p "$OUT" ;;
*)
    echo "usage: bash tests/device/run.sh correct | speed" >&2
    exit 2
    ;;
esac
: > "$LINES"
: > "$LOG"
"$VERB"
"$PYTHON" -m tests.device.summary "$LINES" > "$OUT/$VERB.txt" || [ "$ON" != device ] || FAILED=1
cat "$OUT/$VERB.txt"
echo "done after $SECONDS s: $([ $FAILED = 0 ] && echo nothing failed || echo something FAILED)"
exit $FAILED
