# shellcheck shell=bash
# MariaDB with its built-in settings (Debian's my.cnf is not read).

mariadb_url_name() { echo TIMESWEEP_TEST_MARIADB_URL; }
mariadb_url() { echo "mysql://root:$(password_of mariadb)@127.0.0.1:$(port_of mariadb)"; }
mariadb_ports() { choose_port mariadb 23306; }

mariadb_prepare() {
    local host="$TESTBED_DIR/data/mariadb" in password
    [[ -d $host ]] && return
    in=$(inside)
    password=$(password_of mariadb)
    rm -rf --one-file-system -- "$host.new"
    make_dir 0700 "$host.new"
    make_dir 0700 "$host.new/tmp"
    # From 127.0.0.1 the server sees "localhost", by way of the root's /etc/hosts; it is
    # 127.0.0.1 as soon as a test sets skip_name_resolve. Anonymous accounts would hide
    # 'user'@'%' accounts from localhost, so there are none.
    (umask 077; cat >"$host.new/accounts.sql") <<SQL
DELETE FROM mysql.global_priv WHERE User = '' OR Host NOT IN ('localhost', '127.0.0.1');
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';
CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
SQL
    # Not as an argument or a variable, which others could see.
    (umask 077; cat >"$host.new/client.cnf") <<CONF
[client]
user = root
password = $password
protocol = tcp
host = 127.0.0.1
disable-ssl-verify-server-cert
CONF
    chown -R "$(owner_in_root mysql)" "$host.new"
    run_in_root mysql mariadb-install-db --no-defaults --datadir="$in/mariadb.new/data" \
        --tmpdir="$in/mariadb.new/tmp" --auth-root-authentication-method=normal \
        --skip-test-db --skip-name-resolve --extra-file="$in/mariadb.new/accounts.sql" \
        >"$TESTBED_DIR/log/mariadb.log" 2>&1 </dev/null \
        || die "mariadb-install-db failed" "the end of its output is above" "$TESTBED_DIR/log/mariadb.log"
    rm -f -- "$host.new/accounts.sql"
    mv -T -- "$host.new" "$host"
    say "mariadb: data folder initialised"
}

mariadb_launch() {
    local in
    in=$(inside)
    spawn mariadb mysql mariadbd --no-defaults --datadir="$in/mariadb/data" \
        --tmpdir="$in/mariadb/tmp" --bind-address=127.0.0.1 --port="$(port_of mariadb)" \
        --socket="$in/mariadb/socket" --pid-file="$in/mariadb/pid"
}

# No connection is made for this: the server counts connections without a login as errors and
# shuts the address out after too many of them.
mariadb_answers() { listens mariadb "$(port_of mariadb)"; }

# mariadb_client ARGUMENT …   the client as root
mariadb_client() {
    run_in_root mysql mariadb --defaults-file="$(inside)/mariadb/client.cnf" --port="$(port_of mariadb)" "$@"
}

mariadb_verify() {
    mariadb_client --execute='SELECT 1' \
        >/dev/null 2>>"$TESTBED_DIR/log/mariadb.log" </dev/null
}
