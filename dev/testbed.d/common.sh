# shellcheck shell=bash
# shellcheck disable=SC2034  # the other files use what is set here
# Messages, the data folder and its lock, ports and passwords.

# Debian's release decides the versions. A release other than the usual one has a root and a data
# folder of its own, so that both can run at the same time.
SUITE=${TIMESWEEP_TESTBED_SUITE:-trixie}
SERVICES=(postgres)
# Only started when named: they have a root of their own, which is built then.
ON_REQUEST=()
SUFFIX=$UID
case $SUITE in
    trixie) POSTGRES_VERSION=17 SERVICES+=(mariadb influxdb rabbitmq smtp mysql) ON_REQUEST=(mysql) ;;
    sid)    POSTGRES_VERSION=18 SUFFIX=sid-$UID ;;
    *)      POSTGRES_VERSION= ;;
esac

CACHE_DIR="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/timesweep"
PORTS_DIR="$CACHE_DIR/ports"
TESTBED_DIR="${TIMESWEEP_TESTBED_DIR:-${TMPDIR:-/tmp}/timesweep-testbed-$SUFFIX}"
TESTBED_DIR="$(realpath -m -s -- "$TESTBED_DIR")"

STARTED_AT=${EPOCHREALTIME/[.,]/}

say() {
    local us=$(( ${EPOCHREALTIME/[.,]/} - STARTED_AT ))
    printf 'testbed: [%3d.%ds] %s\n' $(( us / 1000000 )) $(( us / 100000 % 10 )) "$1" >&2
}

# die MESSAGE HINT [LOGFILE]
die() {
    say "error: $1"
    if [[ -s ${3:-} ]]; then
        printf -- '--- end of %s\n' "$3" >&2
        tail -n 25 -- "$3" >&2 || true
        printf -- '---\n' >&2
    fi
    printf 'hint: %s\n' "$2" >&2
    exit 1
}

# wait_until SECONDS COMMAND…   polls, so that nobody waits longer than the server needs
wait_until() {
    local deadline=$(( ${EPOCHREALTIME/[.,]/} + $1 * 1000000 ))
    shift
    until "$@"; do
        (( ${EPOCHREALTIME/[.,]/} < deadline )) || return 1
        sleep 0.05
    done
}

# --- the data folder -------------------------------------------------------------------------
#
#   .timesweep-testbed   says that the folder is ours: `down` removes no folder without it
#   lock                 one `up` or `down` at a time
#   root, mode           the root it was set up with, and whether that is entered with mounts
#   data/                what the servers see as /srv/testbed (without mounts: a link into the root)
#   run/                 pid records, ports, passwords (0700)
#   log/                 one file per server

MARKER=.timesweep-testbed
LOCK_FD=

# lock_data_dir create|existing   takes the folder's lock for the rest of this process; fails if
# there is no folder and none was to be created
#
# `down` removes the lock together with the folder. Whoever waited for it then holds a lock on
# nothing and has to begin again, hence the loop.
lock_data_dir() {
    local deadline=$(( SECONDS + 180 ))
    while (( SECONDS < deadline )); do
        if [[ $1 == create ]]; then
            create_data_dir
        elif [[ ! -e $TESTBED_DIR && ! -L $TESTBED_DIR ]]; then
            return 1
        fi
        if [[ -L $TESTBED_DIR || ( -e $TESTBED_DIR && ! ( -d $TESTBED_DIR && -O $TESTBED_DIR ) ) ]]; then
            die "$TESTBED_DIR is not a folder of yours" "set TIMESWEEP_TESTBED_DIR to another place"
        fi
        # (Nothing but the lock: it is being made or removed at this moment.)
        if [[ ! -e $TESTBED_DIR/$MARKER ]] && ! nothing_but_lock; then
            die "$TESTBED_DIR was not made by the testbed, so it is left alone" \
                "set TIMESWEEP_TESTBED_DIR to a folder that is empty or does not exist"
        fi
        if [[ -e $TESTBED_DIR/$MARKER ]] && { exec {LOCK_FD}>>"$TESTBED_DIR/lock"; } 2>/dev/null; then
            flock -w 180 "$LOCK_FD" || break
            [[ /proc/self/fd/$LOCK_FD -ef $TESTBED_DIR/lock && -e $TESTBED_DIR/$MARKER ]] && return
            exec {LOCK_FD}>&-
        elif [[ $1 == existing ]]; then
            # An empty folder that is nobody's: not worth waiting for.
            rmdir -- "$TESTBED_DIR" 2>/dev/null || true
        fi
        sleep 0.05
    done
    die "another call holds the lock of $TESTBED_DIR for too long" \
        "look for a hanging 'testbed up' or 'testbed down'"
}

create_data_dir() {
    if [[ ! -e $TESTBED_DIR && ! -L $TESTBED_DIR ]]; then
        mkdir -p -- "$(dirname -- "$TESTBED_DIR")"
        # Two at once: the second finds the folder there, which is fine.
        mkdir -m 0755 -- "$TESTBED_DIR" 2>/dev/null || true
    fi
    # An empty folder of ours, made here or by mktemp -d, is taken over.
    if [[ ! -L $TESTBED_DIR && -O $TESTBED_DIR && ! -e $TESTBED_DIR/$MARKER ]] && nothing_but_lock; then
        touch -- "$TESTBED_DIR/$MARKER" 2>/dev/null || true
    fi
}

nothing_but_lock() {
    [[ -z $(find "$TESTBED_DIR" -mindepth 1 ! -name lock ! -name "$MARKER" -print -quit 2>/dev/null) ]]
}

# Makes the folder if need be, locks it, and settles how the root is entered (see process.sh).
open_data_dir() {
    lock_data_dir create
    # The servers' users have to pass through (mktemp -d, for one, lets nobody in).
    chmod 0755 -- "$TESTBED_DIR"
    make_dir 0700 "$TESTBED_DIR/run"
    make_dir 0755 "$TESTBED_DIR/log"
    settle_mode
}

# make_dir MODE FOLDER   whatever the caller's umask is
make_dir() { mkdir -p -- "$2" && chmod "$1" -- "$2"; }

remove_data_dir() {
    local data
    forget_ports
    if [[ -L $TESTBED_DIR/data ]]; then
        data=$(readlink -- "$TESTBED_DIR/data")
        # Only ever what settle_mode made.
        [[ $data == */srv/testbed-* ]] && rm -rf --one-file-system -- "$data"
    fi
    # The marker goes last, so that an interrupted `down` can be repeated.
    find "$TESTBED_DIR" -mindepth 1 -maxdepth 1 ! -name "$MARKER" ! -name lock \
        -exec rm -rf --one-file-system -- {} +
    rm -f -- "$TESTBED_DIR/$MARKER"
    rm -f -- "$TESTBED_DIR/lock"
    rmdir -- "$TESTBED_DIR" 2>/dev/null || true
}

# --- ports and passwords ---------------------------------------------------------------------

port_in_use() {
    local hex
    printf -v hex '%04X' "$1"
    # 0A is LISTEN. The connection attempt is for kernels that do not fill in /proc/net/tcp.
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null \
        | awk -v port="$hex" '$4 == "0A" && $2 ~ ":" port "$" { found = 1 } END { exit !found }' \
        || (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# After a collision: not the same candidates again.
PORT_OFFSET=0
spread_ports() { PORT_OFFSET=$(( 10 + RANDOM % 400 )); }
use_preferred_ports() { PORT_OFFSET=0; }

# choose_port NAME PREFERRED   sets the port of that name in this folder, keeping a chosen one
#
# Between choosing a port and listening on it there are seconds. So that testbeds started at the
# same moment keep out of each other's way, the cache notes which folder has chosen which port.
choose_port() {
    local file="$TESTBED_DIR/run/$1.port" first=$(( $2 + PORT_OFFSET )) port fd
    port=$(read_line "$file")
    if [[ -n $port ]] && ! port_in_use "$port"; then
        return
    fi
    mkdir -p -- "$PORTS_DIR"
    exec {fd}>>"$PORTS_DIR/lock"
    flock -w 30 "$fd" || die "another call holds $PORTS_DIR/lock for too long" "try again"
    for (( port = first; port < first + 400; port++ )); do
        if ! port_in_use "$port" && ! port_chosen "$port"; then
            write_line "$file" "$port"
            write_line "$PORTS_DIR/$port" "$TESTBED_DIR"
            exec {fd}>&-
            return
        fi
    done
    die "no free port between $first and $(( first + 400 ))" "see 'ss -tln' for what is listening"
}

# A note counts as long as the folder is there and still says so.
port_chosen() {
    local folder
    folder=$(read_line "$PORTS_DIR/$1")
    [[ -n $folder ]] && grep -qsx "$1" "$folder"/run/*.port
}

forget_ports() {
    local port
    while read -r port; do
        if [[ $(read_line "$PORTS_DIR/$port") == "$TESTBED_DIR" ]]; then
            rm -f -- "$PORTS_DIR/$port"
        fi
    done < <(cat "$TESTBED_DIR"/run/*.port 2>/dev/null)
}

port_of() { read_line "$TESTBED_DIR/run/$1.port"; }

# One password per server and folder: other users of this machine can reach 127.0.0.1, too.
password_of() {
    local file="$TESTBED_DIR/run/$1.password"
    [[ -s $file ]] || write_line "$file" "$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')"
    read_line "$file"
}

read_line() {
    local line=
    [[ -r $1 ]] && IFS= read -r line <"$1"
    printf '%s' "$line"
}

# In one piece: a reader (env, status) takes no lock.
write_line() {
    printf '%s\n' "$2" >"$1.new"
    mv -f -- "$1.new" "$1"
}
