# Shared by the scripts; they source it. Leaves them in the repository's root, with `set -euo pipefail`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Where cargo builds. The simulated world is another configuration of the same sources, so it has a directory of its own.
target=${CARGO_TARGET_DIR:-target}
target_simulated=${RINGFENCE_TARGET_SIMULATED:-$target/madsim}

# `dev` builds faster and is what the tests use, so that they and the demo share it; RINGFENCE_PROFILE=release runs faster.
profile=${RINGFENCE_PROFILE:-dev}
case $profile in
dev) binaries=$target/debug ;;
*) binaries=$target/$profile ;;
esac

say() { printf '%s\n' "$*" >&2; }

# step TITLE COMMAND…: says what is done, does it, and says how long it took. Fails as the command does.
step() {
    local title=$1 begun=$SECONDS code=0
    shift
    say "==> $title"
    "$@" || code=$?
    if ((code)); then
        say "==> $title: FAILED after $((SECONDS - begun)) s"
    else
        say "==> $title: ok, $((SECONDS - begun)) s"
    fi
    return "$code"
}

# All programs of the workspace, with cargo's own progress. Arguments go to cargo.
build_programs() {
    cargo build --locked --workspace --bins --profile "$profile" "$@"
}

# cargo, with the sources compiled for the simulated world.
cargo_simulated() {
    RUSTFLAGS="--cfg madsim" RUSTDOCFLAGS="--cfg madsim ${RUSTDOCFLAGS-}" CARGO_TARGET_DIR=$target_simulated cargo "$@"
}

# begin_beside TITLE LOG COMMAND…: begins it in the background, as a group of processes of its own; ends with the script. What it says is in
# that file of the target directory.
begin_beside() {
    beside_title=$1
    beside_log=$target/$2
    shift 2
    say "==> $beside_title: begun beside the next steps"
    setsid "$@" >"$beside_log" 2>&1 &
    beside=$!
    trap 'kill -TERM -- "-$beside" 2>/dev/null' EXIT
}

# Waits for it; shows what it said, and fails as it did.
end_beside() {
    local code=0
    step "$beside_title" wait "$beside" || code=$?
    trap - EXIT
    cat "$beside_log" >&2
    return "$code"
}
