#!/usr/bin/env bash
# Installs the node of this checkout as a service on Raspberry Pi OS, Debian or Ubuntu, 64 bit. Run it again to upgrade.
#
#   sudo deploy/install.sh                      install or upgrade; keeps /etc/earshot
#   sudo deploy/install.sh --with-ffmpeg        with ffmpeg as well, for sources of type url (cameras, streams)
#   sudo deploy/install.sh --uninstall          remove program, unit and user; keep configuration and state
#   sudo deploy/install.sh --uninstall --purge  remove those as well
#   sudo deploy/install.sh --root FOLDER        into a system in a folder (an image, a test); starts nothing
#
# Program /opt/earshot, configuration /etc/earshot, state /var/lib/earshot, user earshot, unit earshot-node.service.
set -euo pipefail

CHECKOUT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PACKAGES=(python3-venv python3-dev gcc libc6-dev portaudio19-dev ca-certificates)
UNIT="earshot-node.service"
ROOT=""
ACTION=install
PURGE=""

say() { printf '%s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Runs a command in the system that is installed to.
within() {
    if [ -n "$ROOT" ]; then chroot "$ROOT" "$@"; else "$@"; fi
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
        --root)
            [ -d "${2:-}" ] || fail "--root needs an existing folder with a Debian system"
            ROOT="$(cd "$2" && pwd)"
            shift
            ;;
        --with-ffmpeg) PACKAGES+=(ffmpeg) ;;
        --uninstall) ACTION=uninstall ;;
        --purge) PURGE=yes ;;
        -h | --help)
            sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
            exit
            ;;
        *) fail "unknown option $1; --help lists all" ;;
        esac
        shift
    done
    [ -z "$PURGE" ] || [ "$ACTION" = uninstall ] || fail "--purge goes with --uninstall"
    [ "$(id -u)" = 0 ] || fail "needs root; try: sudo $0"
}

require_system() {
    local architecture
    within sh -c 'command -v apt-get' >/dev/null || fail "apt-get is missing; this script knows Debian and its relatives"
    architecture="$(within dpkg --print-architecture)"
    case "$architecture" in
    amd64 | arm64) ;;
    *) fail "the system is $architecture and onnxruntime needs amd64 or arm64; install the 64-bit edition" ;;
    esac
}

install_packages() {
    local missing=() name
    for name in "${PACKAGES[@]}"; do
        case "$(within dpkg-query --show --showformat "\${Status}" "$name" 2>/dev/null)" in
        *" installed") ;;
        *) missing+=("$name") ;;
        esac
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "Packages: ${missing[*]}"
    apt_get update
    apt_get install --yes --no-install-recommends "${missing[@]}"
}

# Runs apt-get; shows what it said only when it fails.
apt_get() {
    local said
    said="$(within env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null 2>&1)" ||
        fail "apt-get $1 failed: $(tail -n 5 <<<"$said")"
}

require_python() {
    within python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed, this system has $(within python3 --version); use Debian 12 or newer"
}

create_user() {
    within getent passwd earshot >/dev/null ||
        within useradd --system --user-group --home-dir /var/lib/earshot --no-create-home --shell /usr/sbin/nologin earshot
    within usermod --append --groups audio earshot
    install -d -m 0700 "$ROOT/var/lib/earshot"
    within chown earshot:earshot /var/lib/earshot
}

# Makes a complete environment beside the running one; prints its path.
build_environment() {
    local base="$ROOT/opt/earshot" venv
    venv="/opt/earshot/venv-$(date +%Y%m%d-%H%M%S)-$$"
    rm -rf "$base/source"
    install -d -m 0755 "$base/source"
    cp -r "$CHECKOUT"/{pyproject.toml,README.md,LICENSE,node,trainer} "$base/source/"
    within python3 -m venv "$venv" >&2
    if ! within "$venv/bin/python" -m pip install --quiet "/opt/earshot/source[mic]" >&2; then
        rm -rf "$ROOT${venv:?}" "$base/source"
        fail "the program could not be installed, what ran before still does; is the network up?"
    fi
    rm -rf "$base/source"
    printf '%s\n' "$venv"
}

# Existing files are kept: they are the operator's.
install_configuration() {
    local folder="$ROOT/etc/earshot"
    install -d -m 0755 "$folder"
    if [ ! -e "$folder/node.yaml" ]; then
        install -m 0640 "$CHECKOUT/deploy/node.yaml" "$folder/node.yaml"
        within chown root:earshot /etc/earshot/node.yaml
        say "Configuration: /etc/earshot/node.yaml (new)"
    else
        say "Configuration: /etc/earshot/node.yaml (kept)"
    fi
    if [ ! -e "$folder/mqtt-password" ]; then
        install -m 0600 /dev/null "$folder/mqtt-password"
        within chown earshot:earshot /etc/earshot/mqtt-password
    fi
}

require_valid_configuration() {
    within setpriv --reuid=earshot --regid=earshot --init-groups \
        "$1/bin/node-cli" config check /etc/earshot/node.yaml >/dev/null || {
        rm -rf "$ROOT${1:?}"
        fail "/etc/earshot/node.yaml does not suit this version, see above; nothing was changed"
    }
}

# From here on the new environment is the one that starts.
switch_to() {
    local base="$ROOT/opt/earshot" old
    ln -s "$(basename "$1")" "$base/venv.new"
    mv -T "$base/venv.new" "$base/venv"
    ln -sf /opt/earshot/venv/bin/node-cli "$ROOT/usr/local/bin/node-cli"
    for old in "$base"/venv-*; do
        [ "$old" = "$ROOT$1" ] || rm -rf "$old"
    done
}

install_unit() {
    install -D -m 0644 "$CHECKOUT/deploy/$UNIT" "$ROOT/etc/systemd/system/$UNIT"
    if [ -n "$ROOT" ]; then
        install -d "$ROOT/etc/systemd/system/multi-user.target.wants"
        ln -sf "/etc/systemd/system/$UNIT" "$ROOT/etc/systemd/system/multi-user.target.wants/$UNIT"
        say "Service: enabled, starts with the system in $ROOT"
    elif [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --quiet "$UNIT"
        if systemctl restart "$UNIT"; then
            say "Service: running; see: journalctl -u earshot-node -f"
        else
            say "Service: does not start; see: journalctl -u earshot-node -n 20"
        fi
    else
        say "Service: systemd does not run here; start it by: node-cli run --config /etc/earshot/node.yaml"
    fi
}

install_node() {
    local venv
    require_system
    install_packages
    require_python
    create_user
    venv="$(build_environment)"
    install_configuration
    require_valid_configuration "$venv"
    switch_to "$venv"
    say "Program: $(within /opt/earshot/venv/bin/node-cli --version) in /opt/earshot"
    install_unit
    say "Next: set sources and broker in /etc/earshot/node.yaml, then: sudo systemctl restart earshot-node"
}

uninstall_node() {
    if [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet "$UNIT" 2>/dev/null || true
    fi
    rm -f "$ROOT/etc/systemd/system/$UNIT" "$ROOT/etc/systemd/system/multi-user.target.wants/$UNIT"
    if [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    rm -f "$ROOT/usr/local/bin/node-cli"
    rm -rf "$ROOT/opt/earshot"
    if [ -n "$PURGE" ]; then
        rm -rf "$ROOT/etc/earshot" "$ROOT/var/lib/earshot"
        if within getent passwd earshot >/dev/null; then within userdel earshot; fi
        say "Removed: program, service, configuration, state and user"
    else
        say "Removed: program and service. Kept: /etc/earshot, /var/lib/earshot (--purge removes them)"
    fi
    say "Its entities stay in Home Assistant until: node-cli unpublish, run before, or their deletion there"
}

parse_arguments "$@"
"${ACTION}_node"
