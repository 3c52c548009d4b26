# shellcheck shell=bash
# The private Debian root with the servers' packages, built once and cached.

# shellcheck disable=SC2153  # SUITE, SERVICES and POSTGRES_VERSION are common.sh's
PACKAGES=("postgresql-$POSTGRES_VERSION" "postgresql-$POSTGRES_VERSION-timescaledb")
for service in "${SERVICES[@]}"; do
    case $service in
        mariadb)  PACKAGES+=(mariadb-server) ;;
        influxdb) PACKAGES+=(influxdb) ;;
        rabbitmq) PACKAGES+=(rabbitmq-server) ;;
        smtp)     PACKAGES+=(python3-aiosmtpd openssl) ;;
    esac
done
# Goes up when the way of building changes; like the package list, it is part of the name.
RECIPE=1

ARCH=$(dpkg --print-architecture 2>/dev/null || uname -m)
ROOT="$CACHE_DIR/$SUITE-$ARCH-$(printf '%s\n' "$SUITE" "$RECIPE" "${PACKAGES[@]}" | sha256sum | cut -c1-12)"

ensure_root() {
    [[ -d $ROOT ]] && return
    mkdir -p -- "$CACHE_DIR"
    local fd log="$CACHE_DIR/build.log"
    exec {fd}>>"$CACHE_DIR/build.lock"
    flock -n "$fd" || { say "waiting for another call that builds the root"; flock -w 1800 "$fd"; } \
        || die "another call builds the root for too long" "see $log"
    if [[ ! -d $ROOT ]]; then
        install_tools
        # Nobody else builds while we hold the lock, so these are leftovers of broken attempts.
        rm -rf --one-file-system -- "$CACHE_DIR"/*.building
        build_root "$ROOT.building" "$log"
        # Only a finished root ever has this name.
        mv -T -- "$ROOT.building" "$ROOT"
        say "root built: $(du -sh -- "$ROOT" | cut -f1) in $ROOT"
        [[ $(basename -- "$ROOT") != "$SUITE-"* ]] || mention_old_roots
    fi
    exec {fd}>&-
}

mention_old_roots() {
    local old
    for old in "$CACHE_DIR/$SUITE-$ARCH"-*; do
        [[ $old == "$ROOT" || ! -d $old ]] || say "no longer needed unless a testbed runs in it: $old"
    done
}

build_root() {
    local target=$1 log=$2 mirror option keyring
    local -a options=() namespace=()
    mirror=$(debian_mirror)
    say "building a Debian $SUITE root from $mirror (once, about half a minute; log: $log)"
    while IFS= read -r option; do
        options+=(--aptopt="$option")
    done < <(apt_settings)
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        [[ -e $keyring ]] && break
    done
    # A namespace of its own, so that an interrupted build leaves nothing mounted on this machine.
    if unshare --mount --propagation private -- mount --bind "$CACHE_DIR" "$CACHE_DIR" 2>/dev/null; then
        namespace=(unshare --mount --propagation private --)
    fi
    # The plain PATH is for mmdebstrap's Python helpers: a developer's own Python has no place
    # there. No documentation and translations: nobody reads them. Nothing is synced to disk while
    # unpacking: an unfinished root is thrown away anyway. And Debian's packages need not set up
    # servers of their own.
    # shellcheck disable=SC2016  # $1 is mmdebstrap's: the new root
    if "${namespace[@]}" env PATH=/usr/sbin:/usr/bin:/sbin:/bin mmdebstrap \
        --mode=root --variant=minbase --format=directory "${options[@]}" \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
        --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
        --customize-hook='mkdir -p "$1/srv/testbed"' \
        --customize-hook='printf "127.0.0.1 localhost\n" >"$1/etc/hosts"' \
        --customize-hook='mkdir -p "$1/dev/shm" && chmod 1777 "$1/dev/shm"' \
        --include="$(IFS=,; echo "${PACKAGES[*]}")" \
        "$SUITE" "$target" \
        "deb [signed-by=$keyring] $mirror $SUITE main" \
        >"$log" 2>&1 </dev/null
    then
        return
    fi
    rm -rf --one-file-system -- "$target"
    die "the root could not be built" "is $mirror reachable, and does it have $SUITE?\
 Another one: TIMESWEEP_TESTBED_MIRROR=…" "$log"
}

# The Debian mirror that apt on this machine uses. apt itself reads its sources, whatever their
# format; what is fetched in the second round is there even if apt-get update never ran, but it
# says nothing about who made an archive, so that the address has to do.
debian_mirror() {
    # shellcheck disable=SC2016  # apt's placeholders
    local uri component origin label round format='$(REPO_URI)|$(COMPONENT)|$(ORIGIN)|$(LABEL)'
    if [[ -n ${TIMESWEEP_TESTBED_MIRROR:-} ]]; then
        printf '%s\n' "$TIMESWEEP_TESTBED_MIRROR"
        return
    fi
    while IFS='|' read -r uri component origin label; do
        uri=${uri%/}
        # A list of mirrors, as cloud images have it: the first one.
        if [[ $uri == mirror+file:* ]]; then
            uri=${uri#mirror+file:}
            uri=$(awk '/^https?:/ { print $1; exit }' "/${uri##+(/)}" 2>/dev/null || true)
            uri=${uri%/}
        fi
        [[ $uri == http?(s)://* && $component == main ]] || continue
        if [[ $origin == Debian ]]; then
            [[ $label == Debian ]] || continue
        else
            [[ $origin != [[:alnum:]]* && $uri == */debian ]] || continue
        fi
        printf '%s\n' "$uri"
        return
    done < <(for round in --release-info --no-release-info; do
        apt-get indextargets "$round" --format "$format" 'Created-By: Packages' 2>/dev/null || true
    done)
    echo http://deb.debian.org/debian
}

# How apt on this machine reaches its mirror (proxy, certificates, a frozen archive).
apt_settings() {
    apt-config dump 2>/dev/null | grep -E \
        '^Acquire::(Check-Valid-Until|Check-Date|Max-FutureTime|Retries|ForceIPv[46]|https?::(Proxy|CaInfo|Verify-Peer|Verify-Host|SslCert|SslKey)[^ ]*) ".+";$' || true
}

install_tools() {
    local -a missing=()
    local tool
    for tool in mmdebstrap:mmdebstrap unshare:util-linux flock:util-linux setsid:util-linux mount:mount; do
        type -P "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
    done
    # Older keyrings do not know the keys of the suite; sid is signed with those of the newest release.
    compgen -G "/usr/share/keyrings/debian-archive-${SUITE/sid/trixie}-*" >/dev/null \
        || missing+=(debian-archive-keyring)
    (( ${#missing[@]} )) || return 0
    type -P apt-get >/dev/null \
        || die "${missing[*]} missing, and this is no Debian system" "install them by hand"
    say "installing ${missing[*]}"
    if ! apt_install "${missing[@]}"; then
        # Package lists missing or out of date. A third-party source that fails is no reason to
        # give up: the installation itself will tell.
        say "apt-get update"
        apt-get update >>"$CACHE_DIR/apt.log" 2>&1 || true
        apt_install "${missing[@]}" || die "apt-get cannot install ${missing[*]}" \
            "see the log above; 'apt-get update' has to work for Debian's own sources" "$CACHE_DIR/apt.log"
    fi
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >>"$CACHE_DIR/apt.log" 2>&1 </dev/null
}
