# shellcheck shell=bash
# A mail server (aiosmtpd) on three ports: without TLS, with STARTTLS and login, with TLS and login. It
# keeps what it gets as files, one folder for each recipient; smtp.py says which addresses misbehave.

smtp_url_name() { echo TIMESWEEP_TEST_SMTP_URL; }
smtp_url() { echo "smtp://127.0.0.1:$(port_of smtp)"; }
smtp_ports() {
    choose_port smtp 22525
    choose_port smtp-starttls 22587
    choose_port smtp-tls 22465
}

# smtp_env   NAME=VALUE lines, besides the address
smtp_env() {
    local data="$TESTBED_DIR/data/smtp"
    cat <<ENV
TIMESWEEP_TEST_SMTP_PORT=$(port_of smtp)
TIMESWEEP_TEST_SMTP_STARTTLS_PORT=$(port_of smtp-starttls)
TIMESWEEP_TEST_SMTP_TLS_PORT=$(port_of smtp-tls)
TIMESWEEP_TEST_SMTP_CA=$data/ca.pem
TIMESWEEP_TEST_SMTP_OTHER_CA=$data/other-ca.pem
TIMESWEEP_TEST_SMTP_USER=timesweep
TIMESWEEP_TEST_SMTP_PASSWORD=$(password_of smtp)
TIMESWEEP_TEST_SMTP_MAIL=$data/mail
ENV
}

smtp_prepare() {
    local host="$TESTBED_DIR/data/smtp" in
    [[ -d $host ]] && return
    in=$(inside)
    rm -rf --one-file-system -- "$host.new"
    make_dir 0755 "$host.new"
    make_dir 0755 "$host.new/mail"
    cp -- "$TESTBED_LIB/smtp.py" "$host.new/smtp.py"
    chown -R "$(owner_in_root nobody)" "$host.new"
    # A private authority, a certificate of it for this machine, and an authority that signed nothing.
    # shellcheck disable=SC2016  # $1 is the folder, inside
    run_in_root nobody sh -euc '
        cd "$1"
        umask 077
        for name in ca other-ca; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
                -subj "/CN=testbed $name" -keyout $name.key -out $name.pem
        done
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" \
            -keyout server.key -out server.csr
        printf "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n" >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
            -extfile server.ext -out server.pem
        chmod 0644 ca.pem other-ca.pem
    ' - "$in/smtp.new" >"$TESTBED_DIR/log/smtp.log" 2>&1 </dev/null \
        || die "the mail server's certificates could not be made" "the end of the output is above" "$TESTBED_DIR/log/smtp.log"
    mv -T -- "$host.new" "$host"
}

smtp_launch() {
    local in
    in="$(inside)/smtp"
    # Not as an argument, which others could see.
    (umask 077; printf '%s\n' "$(password_of smtp)" >"$TESTBED_DIR/data/smtp/password")
    chown -- "$(owner_in_root nobody)" "$TESTBED_DIR/data/smtp/password"
    spawn smtp nobody python3 "$in/smtp.py" "$in" \
        "$(port_of smtp)" "$(port_of smtp-starttls)" "$(port_of smtp-tls)"
}

smtp_answers() { listens smtp "$(port_of smtp)" && listens smtp "$(port_of smtp-tls)"; }

smtp_verify() {
    local port greeting=
    port=$(port_of smtp)
    {
        IFS= read -r -t 5 greeting <&3
        printf 'QUIT\r\n' >&3
    } 3<>"/dev/tcp/127.0.0.1/$port" 2>/dev/null
    [[ $greeting == '220 '* ]]
}
