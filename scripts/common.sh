# shellcheck shell=bash disable=SC2034
# Read by the other scripts in this folder: how they speak, and checks that several of them make.

# The torch that the crate `tch` in Cargo.toml binds; no other one works.
TORCH_VERSION=2.11.0
CACHE=.cache
# Messages of the tools that are called are read below: they must be in English.
export LC_ALL=C.UTF-8
VENV=$CACHE/venv

say() { printf 'owlet: %s\n' "$*"; }

# Every failure ends here: one line that says what is wrong and what to do.
die() {
    printf 'owlet: %s\n' "$*" >&2
    exit 1
}

# need_mib FOLDER MIB WHAT: stops where FOLDER's disk has less room than WHAT takes.
need_mib() {
    local free_mib
    free_mib=$(($(df -Pk "$1" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mib" -ge "$2" ] ||
        die "the disk of $(cd "$1" && pwd) has $free_mib MiB free, $3 needs $2 MiB: free some and run again"
}

# explain_failure LOG WHAT: turns the log of a failed download into one line.
explain_failure() {
    local reason
    if grep -qi 'no space left on device' "$1"; then
        reason='the disk is full'
    elif grep -qiE 'name resolution|failure resolving|could not (resolve|connect)|name or service not known|unreachable|connection (refused|reset|broken)|timed? ?out|proxyerror|no route to host|incompleteread|from versions: none' "$1"; then
        reason='no network, or it broke off'
    else
        reason=$(grep -iE '^(error|e):' "$1" | tail -n 1 || true)
    fi
    die "$2 failed: ${reason:-see the log}; mend that and run again (log: $1)"
}

# version_at_least FOUND WANTED
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# One set-up at a time: `make -j demo test` starts two. The lock goes with the process.
take_lock() {
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock 9
}
