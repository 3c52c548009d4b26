# shellcheck shell=bash
# InfluxDB 1.x, without reports to the vendor; it asks who is there only with TIMESWEEP_TESTBED_INFLUX_LOGIN=true.

influxdb_url_name() { echo TIMESWEEP_TEST_INFLUX_URL; }
influxdb_url() { echo "http://127.0.0.1:$(port_of influxdb)"; }
influxdb_ports() {
    choose_port influxdb 28086
    choose_port influxdb-rpc 28088
}

influxdb_prepare() {
    local host="$TESTBED_DIR/data/influxdb"
    [[ -d $host ]] && return
    rm -rf --one-file-system -- "$host.new"
    make_dir 0700 "$host.new"
    chown -R "$(owner_in_root influxdb)" "$host.new"
    mv -T -- "$host.new" "$host"
}

influxdb_launch() {
    local in config
    in=$(inside)
    config="$TESTBED_DIR/data/influxdb/influxdb.conf"
    cat >"$config" <<CONF
reporting-disabled = true
# backup and restore
bind-address = "127.0.0.1:$(port_of influxdb-rpc)"

[meta]
  dir = "$in/influxdb/meta"

[data]
  dir = "$in/influxdb/data"
  wal-dir = "$in/influxdb/wal"

[http]
  bind-address = "127.0.0.1:$(port_of influxdb)"
  auth-enabled = ${TIMESWEEP_TESTBED_INFLUX_LOGIN:-false}
  max-row-limit = ${TIMESWEEP_TESTBED_INFLUX_ROWS:-0}
CONF
    spawn influxdb influxdb influxd -config "$in/influxdb/influxdb.conf"
}

influxdb_answers() { listens influxdb "$(port_of influxdb)"; }

influxdb_verify() {
    local port status=
    port=$(port_of influxdb)
    {
        printf 'GET /ping HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$port" >&3
        IFS= read -r -t 5 status <&3
    } 3<>"/dev/tcp/127.0.0.1/$port" 2>/dev/null
    [[ $status == *' 204 '* ]]
}
