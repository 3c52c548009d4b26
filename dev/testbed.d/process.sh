# shellcheck shell=bash
# Running things inside the root, and ending exactly what was started.
#
# Normally every server gets a mount namespace of its own, in which /proc, /dev and the data
# folder are bound into the root. Where mounting is refused (a container without CAP_SYS_ADMIN),
# nothing is mounted: the data then lies inside the cached root, and `data` is a link to it.

settle_mode() {
    local mode recorded
    mode=$(read_line "$TESTBED_DIR/mode")
    recorded=$(read_line "$TESTBED_DIR/root")
    if [[ -z $mode ]]; then
        mode=no
        if [[ ${TIMESWEEP_TESTBED_MOUNTS:-} != no ]] && can_mount; then
            mode=yes
        fi
        if [[ $mode == yes ]]; then
            make_dir 0755 "$TESTBED_DIR/data"
        else
            say "without mounts (not wanted or not allowed): the data lies inside the cached root"
            make_devices
            local id
            id=$(printf '%s' "$TESTBED_DIR" | sha256sum | cut -c1-12)
            rm -rf --one-file-system -- "$ROOT/srv/testbed-$id"
            make_dir 0755 "$ROOT/srv/testbed-$id"
            ln -sfn -- "$ROOT/srv/testbed-$id" "$TESTBED_DIR/data"
        fi
        write_line "$TESTBED_DIR/root" "$ROOT"
        write_line "$TESTBED_DIR/mode" "$mode"
        return
    fi
    # A folder stays with the root it was set up with, even if a newer one was built since.
    if [[ -d $recorded/usr ]]; then
        ROOT=$recorded
    elif [[ $mode == no ]]; then
        die "the root that holds the data of $TESTBED_DIR is gone" "dev/testbed down, then up again"
    else
        write_line "$TESTBED_DIR/root" "$ROOT"
    fi
}

# Without mounts the servers have the root's own /dev; it has none if it was built where making
# devices was not allowed.
make_devices() {
    local device
    for device in null:3 zero:5 full:7 random:8 urandom:9; do
        [[ -c $ROOT/dev/${device%:*} ]] && continue
        rm -f -- "$ROOT/dev/${device%:*}"
        mknod -m 0666 "$ROOT/dev/${device%:*}" c 1 "${device#*:}" 2>/dev/null \
            || die "neither mounting nor making devices is allowed here; the servers need one of them" \
                "give the container CAP_SYS_ADMIN or CAP_MKNOD (docker run --cap-add …)"
    done
}

can_mount() {
    unshare --mount --propagation private -- mount --bind "$ROOT/srv/testbed" "$ROOT/srv/testbed" \
        2>/dev/null
}

# The data folder as the servers see it.
inside() {
    if [[ $(read_line "$TESTBED_DIR/mode") == yes ]]; then
        echo /srv/testbed
    else
        echo "/srv/$(basename -- "$(readlink -- "$TESTBED_DIR/data")")"
    fi
}

# enter_root RECORD USER COMMAND…
enter_root() {
    local mode
    local -a namespace=()
    mode=$(read_line "$TESTBED_DIR/mode")
    [[ $mode == yes ]] && namespace=(unshare --mount --propagation private --)
    exec "${namespace[@]}" "$TESTBED_LIB/enter" "$mode" "$ROOT" "$TESTBED_DIR/data" "$@"
}

# run_in_root USER COMMAND…   for short-lived tools; they keep our lock open, so that nobody begins
# anew while, say, the initdb of a call that was killed still runs
run_in_root() { ( enter_root '' "$@" ); }

# spawn NAME USER COMMAND…   a server: own session, output to its log, nothing of ours kept open
spawn() {
    local name=$1
    shift
    rm -f -- "$TESTBED_DIR/run/$name.pid"
    ( export -f enter_root read_line
      export TESTBED_DIR TESTBED_LIB ROOT
      # setsid changes this very process, because a background job leads no process group.
      # shellcheck disable=SC2016
      exec setsid -- bash -euc 'enter_root "$@"' - "$TESTBED_DIR/run/$name.pid" "$@"
    ) </dev/null >>"$TESTBED_DIR/log/$name.log" 2>&1 &
    disown
    # The record says more than $!, and comes before the server itself.
    if ! wait_until 10 test -s "$TESTBED_DIR/run/$name.pid"; then
        die "$name could not be started" "see the log above" "$TESTBED_DIR/log/$name.log"
    fi
}

recorded_pid() {
    local record
    record=$(read_line "$TESTBED_DIR/run/$1.pid")
    printf '%s' "${record%% *}"
}

# same_process PID STARTTIME   still there, and not just waiting to be reaped (in a container
# without an init process, that may be for ever)
same_process() {
    local -a fields
    read_stat "$1" && [[ ${fields[19]} == "$2" && ${fields[0]} != [ZX] ]]
}

# read_stat PID   the fields after the name: 0 state, 1 parent, 3 session, 19 start time
read_stat() {
    local stat=
    # Not $(<file): if the process ends at this moment, that ends bash 5.2 under set -e, whatever
    # follows. And the name in the file may hold blanks, brackets and newlines.
    { IFS= read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null || true
    # shellcheck disable=SC2206
    fields=(${stat##*) })
    (( ${#fields[@]} >= 20 ))
}

is_alive() {
    local pid start boot
    read -r pid start boot <<<"$(read_line "$TESTBED_DIR/run/$1.pid")"
    [[ -n $pid && $boot == "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -)" ]] \
        && same_process "$pid" "$start"
}

is_up() { is_alive "$1" && "$1_answers"; }

# start_service NAME   the service's own file says how (NAME_prepare, _ports, _launch,
# _answers, _verify)
start_service() {
    local name=$1 attempt log="$TESTBED_DIR/log/$1.log"
    if is_up "$name"; then
        say "$name: already running"
        return
    fi
    use_preferred_ports
    # Alive, but not answering yet: left by a call that was interrupted while it waited.
    if ! is_alive "$name"; then
        "${name}_prepare"
        for attempt in 1 2 3 4 5; do
            "${name}_ports"
            "${name}_launch"
            if ! wait_until 90 ready_or_dead "$name" || is_alive "$name"; then
                break
            fi
            # Between choosing a port and opening it somebody else may have taken it: another
            # testbed that is started at this moment, for instance.
            lost_a_port "$name" || break
            say "$name: its port was taken meanwhile (attempt $attempt)"
            spread_ports
        done
    fi
    wait_until 10 ready_or_dead "$name" \
        || die "$name does not answer" "the end of its log is above; 'dev/testbed down' ends it" "$log"
    is_alive "$name" || die "$name ended while it was starting" "the end of its log is above" "$log"
    say "$name: up on 127.0.0.1:$(port_of "$name")"
}

# Ready is what lets a client in.
ready_or_dead() { ! is_alive "$1" || { "$1_answers" && "$1_verify"; }; }

# listens NAME PORT   the very process that we started has the port open, not somebody else's
listens() {
    local pid hex uid inode
    pid=$(recorded_pid "$1")
    printf -v hex '%04X' "$2"
    uid=$(stat -c %u "/proc/$pid" 2>/dev/null) || return 1
    while read -r inode; do
        # Without CAP_SYS_PTRACE one cannot look: then its user has to be enough.
        readlink "/proc/$pid/fd/0" >/dev/null 2>&1 || return 0
        [[ -n $(find "/proc/$pid/fd" -lname "socket:\\[$inode\\]" -print -quit 2>/dev/null) ]] && return
    done < <(awk -v port=":$hex" -v uid="$uid" '$4 == "0A" && $2 ~ port "$" && $8 == uid { print $10 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    return 1
}

# The ports of a service are named after it: rabbitmq, rabbitmq-dist, …
lost_a_port() {
    local file
    for file in "$TESTBED_DIR/run/$1.port" "$TESTBED_DIR/run/$1"-*.port; do
        [[ -e $file ]] && port_in_use "$(read_line "$file")" && return
    done
    return 1
}

# family PID STARTTIME   "PID STARTTIME" of everything that a server has started: its descendants
# and what shares its session (a helper whose parent ended has become a child of init)
family() {
    local pid grew=yes
    local -A parent=() session=() start=() member=([$1]=1)
    local -a fields
    for pid in /proc/[0-9]*; do
        pid=${pid##*/}
        if ! read_stat "$pid" || (( fields[19] < $2 )); then
            continue
        fi
        parent[$pid]=${fields[1]} session[$pid]=${fields[3]} start[$pid]=${fields[19]}
    done
    while [[ $grew == yes ]]; do
        grew=no
        for pid in "${!start[@]}"; do
            [[ -z ${member[$pid]:-} ]] || continue
            if [[ -n ${member[${parent[$pid]}]:-} || ${session[$pid]} == "$1" ]]; then
                member[$pid]=1 grew=yes
            fi
        done
    done
    for pid in "${!member[@]}"; do
        printf '%s %s\n' "$pid" "${start[$pid]:-0}"
    done
}

stop_recorded() {
    local name=$1 pid start boot signal=TERM members member_pid member_start
    if is_alive "$name"; then
        read -r pid start boot <<<"$(read_line "$TESTBED_DIR/run/$name.pid")"
        if declare -F "${name}_stop_signal" >/dev/null; then
            signal=$("${name}_stop_signal")
        fi
        # Before the signal: afterwards nobody knows any more whose children they were.
        members=$(family "$pid" "$start")
        kill -s "$signal" "$pid" 2>/dev/null || true
        if ! wait_until 20 gone "$pid" "$start"; then
            say "$name: does not react to SIG$signal, killing it"
            kill -s KILL "$pid" 2>/dev/null || true
            wait_until 10 gone "$pid" "$start" || die "$name (pid $pid) cannot be ended" \
                "end it by hand, then run 'dev/testbed down' again"
        fi
        while read -r member_pid member_start; do
            wait_until 3 gone "$member_pid" "$member_start" && continue
            kill -s KILL "$member_pid" 2>/dev/null || true
            wait_until 3 gone "$member_pid" "$member_start" || true
        done <<<"$members"
        say "$name: ended"
    fi
    rm -f -- "$TESTBED_DIR/run/$name.pid"
}

gone() { ! same_process "$1" "$2"; }

# UID:GID that a user has inside the root (the machine's own users do not matter there).
owner_in_root() {
    awk -F: -v user="$1" '$1 == user { print $3 ":" $4 }' "$ROOT/etc/passwd"
}
