# shellcheck shell=bash
# RabbitMQ with a port mapper (epmd), a cookie, a distribution port and folders of its own, so
# that it neither meets nor disturbs another RabbitMQ on this machine.

RABBITMQ_NODE=timesweep@localhost

rabbitmq_url_name() { echo TIMESWEEP_TEST_AMQP_URL; }
rabbitmq_url() { echo "amqp://timesweep:$(password_of rabbitmq)@127.0.0.1:$(port_of rabbitmq)/%2f"; }
# Its HTTP interface, for tests that make virtual hosts and users of their own.
rabbitmq_env() {
    echo "TIMESWEEP_TEST_AMQP_ADMIN_URL=http://timesweep:$(password_of rabbitmq)@127.0.0.1:$(port_of rabbitmq-admin)"
    echo "TIMESWEEP_TEST_AMQP_TLS_PORT=$(port_of rabbitmq-tls)"
    echo "TIMESWEEP_TEST_AMQP_CA=$TESTBED_DIR/data/rabbitmq/ca.pem"
}
rabbitmq_ports() {
    # Left by an attempt that failed: it would seem to be somebody else's.
    stop_recorded epmd
    choose_port rabbitmq 26720
    choose_port rabbitmq-dist 26721
    choose_port rabbitmq-epmd 26722
    choose_port rabbitmq-admin 26723
    choose_port rabbitmq-tls 26724
}

rabbitmq_prepare() {
    local host="$TESTBED_DIR/data/rabbitmq"
    [[ -d $host ]] && return
    rm -rf --one-file-system -- "$host.new"
    make_dir 0700 "$host.new"
    make_dir 0700 "$host.new/home"
    write_line "$host.new/home/.erlang.cookie" "$(password_of rabbitmq-cookie)"
    chmod 0400 -- "$host.new/home/.erlang.cookie"
    echo '[rabbitmq_management].' >"$host.new/enabled_plugins"
    (umask 077; cat >"$host.new/rabbitmq.conf") <<CONF
default_user = timesweep
default_pass = $(password_of rabbitmq)
loopback_users.timesweep = true
log.console = true
log.console.level = info
log.file = false
management.tcp.ip = 127.0.0.1
management.tcp.port = 0
listeners.ssl.default = 0
ssl_options.certfile = $(inside)/rabbitmq/server.pem
ssl_options.keyfile = $(inside)/rabbitmq/server.key
${TIMESWEEP_TESTBED_RABBITMQ_LINE:-}
CONF
    chown -R "$(owner_in_root rabbitmq)" "$host.new"
    rabbitmq_certificates
    mv -T -- "$host.new" "$host"
}

# A private authority, and a certificate of it for this machine.
rabbitmq_certificates() {
    # shellcheck disable=SC2016  # $1 is the folder, inside
    run_in_root rabbitmq sh -euc '
        cd "$1"
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
            -subj "/CN=testbed" -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" \
            -keyout server.key -out server.csr
        printf "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n" >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
            -extfile server.ext -out server.pem
    ' - "$(inside)/rabbitmq.new" >"$TESTBED_DIR/log/rabbitmq.log" 2>&1 </dev/null \
        || die "the broker's certificates could not be made" "the end of the output is above" "$TESTBED_DIR/log/rabbitmq.log"
}

# rabbitmq_environment   NAME=VALUE lines; everything that would otherwise be looked for in /etc,
# /var or the home folder
rabbitmq_environment() {
    local in
    in="$(inside)/rabbitmq"
    cat <<ENV
HOME=$in/home
ERL_EPMD_PORT=$(port_of rabbitmq-epmd)
ERL_EPMD_ADDRESS=127.0.0.1
RABBITMQ_NODENAME=$RABBITMQ_NODE
RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
RABBITMQ_NODE_PORT=$(port_of rabbitmq)
RABBITMQ_DIST_PORT=$(port_of rabbitmq-dist)
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}
RABBITMQ_CONF_ENV_FILE=$in/none
RABBITMQ_CONFIG_FILE=$in/rabbitmq.conf
RABBITMQ_ADVANCED_CONFIG_FILE=$in/none
RABBITMQ_ENABLED_PLUGINS_FILE=$in/enabled_plugins
RABBITMQ_MNESIA_BASE=$in/mnesia
RABBITMQ_SCHEMA_DIR=$in/schema
RABBITMQ_GENERATED_CONFIG_DIR=$in/config
RABBITMQ_LOG_BASE=$in/log
RABBITMQ_LOGS=-
RUNNING_UNDER_SYSTEMD=1
ENV
}

rabbitmq_launch() {
    local -a environment
    # (RUNNING_UNDER_SYSTEMD means: become the server instead of watching over it, so that the
    # recorded pid is the server's.)
    mapfile -t environment < <(rabbitmq_environment)
    # Chosen again where it was taken, after the file was written.
    sed -i -e "s/^management.tcp.port = .*/management.tcp.port = $(port_of rabbitmq-admin)/" \
        -e "s/^listeners.ssl.default = .*/listeners.ssl.default = 127.0.0.1:$(port_of rabbitmq-tls)/" \
        "$TESTBED_DIR/data/rabbitmq/rabbitmq.conf"
    # epmd listens on 127.0.0.1 because of ERL_EPMD_ADDRESS.
    spawn epmd rabbitmq env "${environment[@]}" epmd -port "$(port_of rabbitmq-epmd)"
    wait_until 10 epmd_ready_or_dead || true
    # If its port was taken, the server would find somebody else's port mapper there.
    is_alive epmd || return 0
    spawn rabbitmq rabbitmq env "${environment[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server
}

epmd_ready_or_dead() { ! is_alive epmd || listens epmd "$(port_of rabbitmq-epmd)"; }

# Opening its port is the last thing that the server does when it starts.
rabbitmq_answers() { listens rabbitmq "$(port_of rabbitmq)"; }

# The server's first frame (type 1, channel 0) in answer to the protocol header.
rabbitmq_verify() {
    local frame=
    {
        printf 'AMQP\0\0\11\1' >&3
        frame=$(timeout 10 head -c 3 <&3 | od -An -tx1)
    } 3<>"/dev/tcp/127.0.0.1/$(port_of rabbitmq)" 2>/dev/null
    [[ $frame == ' 01 00 00' ]]
}
