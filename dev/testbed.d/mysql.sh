# shellcheck shell=bash
# Oracle's MySQL, which only Debian sid has: it runs in a root of its own, built when it is first
# asked for. Its accounts use caching_sha2_password; its certificates are the ones it makes itself,
# without a host name, so VERIFY_CA works and VERIFY_IDENTITY does not.

MYSQL_PACKAGES=(mysql-server)
MYSQL_ROOT="$CACHE_DIR/mysql-$(dpkg --print-architecture 2>/dev/null || uname -m)-$(
    printf '%s\n' sid "$RECIPE" "${MYSQL_PACKAGES[@]}" | sha256sum | cut -c1-12)"

mysql_url_name() { echo TIMESWEEP_TEST_MYSQL_URL; }
mysql_url() { echo "mysql://root:$(password_of mysql)@127.0.0.1:$(port_of mysql)?ssl-mode=VERIFY_CA&ssl-ca=$TESTBED_DIR/data/mysql-ca.pem"; }
mysql_ports() { choose_port mysql 23316; }

# What is called from here with another ROOT runs in that one.
in_mysql_root() {
    # shellcheck disable=SC2034  # run_in_root, spawn and the like use it
    local ROOT=$MYSQL_ROOT
    "$@"
}

mysql_ensure_root() {
    # shellcheck disable=SC2034  # ensure_root uses them
    local ROOT=$MYSQL_ROOT SUITE=sid
    # shellcheck disable=SC2034
    local -a PACKAGES=("${MYSQL_PACKAGES[@]}")
    ensure_root
}

# The data folder as this machine sees it: without mounts it lies inside this root, not the other.
mysql_data_dir() {
    if [[ $(read_line "$TESTBED_DIR/mode") == yes ]]; then
        echo "$TESTBED_DIR/data"
    else
        echo "$MYSQL_ROOT$(inside)"
    fi
}

mysql_prepare() {
    mysql_ensure_root
    in_mysql_root mysql_prepare_data
}

mysql_prepare_data() {
    local host in password
    host="$(mysql_data_dir)/mysql"
    [[ -d $host ]] && return
    if [[ $(read_line "$TESTBED_DIR/mode") != yes ]]; then
        make_devices
        make_dir 0755 "$(mysql_data_dir)"
    fi
    in=$(inside)
    password=$(password_of mysql)
    rm -rf --one-file-system -- "$host.new"
    make_dir 0700 "$host.new"
    # The first account has no password until the server has read this file, before it listens.
    (umask 077; cat >"$host.new/accounts.sql") <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED WITH caching_sha2_password BY '$password';
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
SQL
    (umask 077; cat >"$host.new/client.cnf") <<CONF
[client]
user = root
password = $password
protocol = tcp
host = 127.0.0.1
CONF
    chown -R "$(owner_in_root mysql)" "$host.new"
    run_in_root mysql mysqld --no-defaults --initialize-insecure --datadir="$in/mysql.new/data" \
        --innodb-redo-log-capacity=8M >"$TESTBED_DIR/log/mysql.log" 2>&1 </dev/null \
        || die "mysqld --initialize failed" "the end of its output is above" "$TESTBED_DIR/log/mysql.log"
    # For clients outside of the root; the folder itself is the server's alone.
    install -m 0644 -- "$host.new/data/ca.pem" "$TESTBED_DIR/data/mysql-ca.pem"
    mv -T -- "$host.new" "$host"
    say "mysql: data folder initialised"
}

# What lies outside of the testbed's folder.
mysql_forget_data() {
    [[ $(read_line "$TESTBED_DIR/mode") == no && -L $TESTBED_DIR/data ]] || return 0
    rm -rf --one-file-system -- "$(mysql_data_dir)"
}

mysql_launch() {
    local in
    in=$(inside)
    in_mysql_root spawn mysql mysql mysqld --no-defaults --datadir="$in/mysql/data" \
        --bind-address=127.0.0.1 --port="$(port_of mysql)" --mysqlx=OFF \
        --socket="$in/mysql/socket" --pid-file="$in/mysql/pid" --init-file="$in/mysql/accounts.sql"
}

mysql_answers() { listens mysql "$(port_of mysql)"; }

mysql_verify() {
    in_mysql_root run_in_root mysql mysql --defaults-file="$(inside)/mysql/client.cnf" \
        --port="$(port_of mysql)" --execute='SELECT 1' \
        >/dev/null 2>>"$TESTBED_DIR/log/mysql.log" </dev/null
}
