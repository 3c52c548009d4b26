# shellcheck shell=bash
# PostgreSQL with TimescaleDB preloaded. The tests create their databases and the extension
# themselves. Settings stay at the defaults (locks, fsync, timeouts): what is measured and
# reproduced here has to be what users get.

POSTGRES_BIN=/usr/lib/postgresql/$POSTGRES_VERSION/bin

postgres_url_name() { echo TIMESWEEP_TEST_POSTGRES_URL; }
postgres_url() { echo "postgres://postgres:$(password_of postgres)@127.0.0.1:$(port_of postgres)/postgres"; }
# The data folder as this machine sees it; the server's own path is one inside the root.
postgres_more_env() { printf 'export TIMESWEEP_TEST_POSTGRES_FOLDER=%q\n' "$(readlink -f -- "$TESTBED_DIR/data")/postgres/data"; }
postgres_ports() { choose_port postgres 25432; }

# "Immediate": the data is thrown away, so no checkpoint is needed.
postgres_stop_signal() { echo QUIT; }

postgres_prepare() {
    local host="$TESTBED_DIR/data/postgres" in
    [[ -d $host ]] && return
    in=$(inside)
    # Set up under another name and renamed: a half-made cluster is never started.
    rm -rf --one-file-system -- "$host.new"
    make_dir 0700 "$host.new"
    make_dir 0700 "$host.new/socket"
    write_line "$host.new/password" "$(password_of postgres)"
    chown -R "$(owner_in_root postgres)" "$host.new"
    # --no-sync concerns initdb only; the server's fsync is on. A password that is hashed once is no secret
    # (and none is needed here), but a test that asks the server a hundred times is done seconds earlier.
    run_in_root postgres "$POSTGRES_BIN/initdb" -D "$in/postgres.new/data" --no-sync --set scram_iterations=1 \
        --username=postgres --pwfile="$in/postgres.new/password" --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 >"$TESTBED_DIR/log/postgres.log" 2>&1 </dev/null \
        || die "initdb failed" "the end of its output is above" "$TESTBED_DIR/log/postgres.log"
    rm -f -- "$host.new/password"
    # In a file rather than on the command line, where ALTER SYSTEM could not override it.
    cat >>"$host.new/data/postgresql.conf" <<CONF

# testbed
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
log_line_prefix = '%m [%p] %q%u@%d/%a '
CONF
    mv -T -- "$host.new" "$host"
    say "postgres: database cluster initialised"
}

# After a crash (some tests kill the server) its lock files are still there, and they stop the next
# start as long as the dead process has not been reaped, in a container perhaps for ever. We know
# that it is dead; that its children are gone, too, shows in the bit of shared memory that it
# leaves, which nobody else would remove.
postgres_forget_crash() {
    local -a lines=() memory
    local file="$TESTBED_DIR/data/postgres/data/postmaster.pid"
    [[ -e $file ]] || return 0
    mapfile -t lines <"$file"
    # shellcheck disable=SC2206  # "KEY ID"
    memory=(${lines[6]:-})
    if (( ${#memory[@]} == 2 )); then
        wait_until 10 postgres_unattached "${memory[@]}" \
            || die "processes of the crashed server still run" "end them by hand: ps -ef | grep postgres:"
        [[ -z $(shared_memory "${memory[@]}") ]] || ipcrm -m "${memory[1]}" || true
    fi
    rm -f -- "$file" "$TESTBED_DIR"/data/postgres/socket/.s.PGSQL.*
}

# shared_memory KEY ID   how many processes are attached to it; nothing if it does not exist
shared_memory() {
    awk -v key="$1" -v id="$2" '$1 == key && $2 == id { print $7 }' /proc/sysvipc/shm 2>/dev/null
}

postgres_unattached() { [[ $(shared_memory "$@") != [1-9]* ]]; }

postgres_launch() {
    local in
    postgres_forget_crash
    in=$(inside)
    spawn postgres postgres "$POSTGRES_BIN/postgres" -D "$in/postgres/data" \
        -c listen_addresses=127.0.0.1 -c port="$(port_of postgres)" \
        -c unix_socket_directories="$in/postgres/socket"
}

# What pg_ctl --wait looks at: unlike a connection it cannot be answered by another server.
postgres_answers() {
    local -a lines=()
    { mapfile -t lines <"$TESTBED_DIR/data/postgres/data/postmaster.pid"; } 2>/dev/null || return 1
    [[ ${lines[0]:-} == "$(recorded_pid postgres)" && ${lines[7]:-} == ready* ]]
}

postgres_verify() { [[ $(postgres_psql -XAtc 'SELECT 1' 2>>"$TESTBED_DIR/log/postgres.log" </dev/null) == 1 ]]; }

# The root's psql, through the root's own dynamic loader instead of chroot: it sees the files,
# the terminal and the working directory of the caller (\i, -f, \copy).
postgres_psql() {
    is_up postgres || die "PostgreSQL is not running" "dev/testbed up postgres"
    local recorded loader libraries
    recorded=$(read_line "$TESTBED_DIR/root")
    [[ -d $recorded ]] && ROOT=$recorded
    export PGHOST=127.0.0.1 PGPORT PGUSER=postgres PGPASSWORD PGDATABASE="${PGDATABASE:-postgres}"
    PGPORT=$(port_of postgres)
    PGPASSWORD=$(password_of postgres)
    for loader in "$ROOT"/usr/lib/*-linux-gnu*/ld-linux*.so.*; do
        libraries=$(dirname -- "$loader")
        if [[ -x $loader && -x $ROOT$POSTGRES_BIN/psql ]]; then
            exec "$loader" --library-path "$libraries" "$ROOT$POSTGRES_BIN/psql" "$@"
        fi
    done
    type -P psql >/dev/null || die "no psql found" "apt-get install postgresql-client"
    exec psql "$@"
}
