#!/usr/bin/env bash
# Installs the node of this checkout as a service on Raspberry Pi OS, Debian or Ubuntu, 64 bit. Run it again to upgrade.
#
#   sudo deploy/install.sh                      install or upgrade; keeps /etc/earshot
#   sudo deploy/install.sh --with-ffmpeg        with ffmpeg as well, for sources of type url (cameras, streams)
#   sudo deploy/install.sh --uninstall          remove program and unit; keep configuration, state and user
#   sudo deploy/install.sh --uninstall --purge  remove those as well
#   sudo deploy/install.sh --root FOLDER        into a system in a folder (an image, a test); starts nothing
#
# An upgrade whose service does not start, or that fails on its way, leaves the former version running.
# Program /opt/earshot, configuration /etc/earshot, state /var/lib/earshot, user earshot, unit earshot-node.service.
set -euo pipefail
shopt -s inherit_errexit

CHECKOUT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PACKAGES=(python3-venv python3-dev gcc libc6-dev portaudio19-dev ca-certificates)
UNIT="earshot-node.service"
ROOT=""
ACTION=install
PURGE=""
NEW=""  # the environment being installed, until it has proven itself: /opt/earshot/venv-...
OLD=""  # the name of the one that ran before, empty in a first installation
PROOF_S=5

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

# Makes a complete environment beside the running one: NEW.
build_environment() {
    local base="$ROOT/opt/earshot"
    if [ -L "$base/venv" ]; then OLD="$(readlink "$base/venv")"; fi
    NEW="/opt/earshot/venv-$(date +%Y%m%d-%H%M%S)-$$"
    trap abandon EXIT
    rm -rf "$base/source"
    install -d -m 0755 "$base/source"
    cp -r "$CHECKOUT"/{pyproject.toml,README.md,LICENSE,node,trainer} "$base/source/"
    within python3 -m venv "$NEW"
    within "$NEW/bin/python" -m pip install --quiet "/opt/earshot/source[mic]" ||
        fail "the program could not be installed; is the network up?"
    rm -rf "$base/source"
    within "$NEW/bin/node-cli" --version >/dev/null || fail "the new program does not run, see above"
}

# At the end of an installation that failed: the former version is put back, if it was replaced already.
abandon() {
    local status=$? base="$ROOT/opt/earshot" stays="nothing was changed"
    trap - EXIT
    if [ -n "$NEW" ]; then
        if [ "$(readlink "$base/venv")" = "$(basename "$NEW")" ]; then
            switch_back
            stays="${OLD:+the former version is back}"
        fi
        rm -rf "$ROOT${NEW:?}" "$base/source" "$base/former.service"
        say "The installation failed; ${stays:-nothing is installed}." >&2
    fi
    exit "$status"
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
        "$NEW/bin/node-cli" config check /etc/earshot/node.yaml >/dev/null ||
        fail "/etc/earshot/node.yaml does not suit this version, see above"
}

# Makes an environment in /opt/earshot the one that starts.
point_to() {
    ln -sfn "$1" "$ROOT/opt/earshot/venv.new"
    mv -T "$ROOT/opt/earshot/venv.new" "$ROOT/opt/earshot/venv"
}

switch_to_new() {
    local unit="$ROOT/etc/systemd/system/$UNIT"
    if [ -e "$unit" ]; then cp "$unit" "$ROOT/opt/earshot/former.service"; fi
    point_to "$(basename "$NEW")"
    ln -sf /opt/earshot/venv/bin/node-cli "$ROOT/usr/local/bin/node-cli"
    install -D -m 0644 "$CHECKOUT/deploy/$UNIT" "$unit"
}

switch_back() {
    local former="$ROOT/opt/earshot/former.service"
    if [ -z "$OLD" ]; then
        rm -f "$ROOT/opt/earshot/venv"
        return
    fi
    point_to "$OLD"
    if [ -e "$former" ]; then mv "$former" "$ROOT/etc/systemd/system/$UNIT"; fi
    if runs_systemd; then
        systemctl daemon-reload || true
        systemctl restart "$UNIT" || say "The former version does not start either; see: journalctl -u earshot-node" >&2
    fi
}

forget_former() {
    local old
    for old in "$ROOT"/opt/earshot/venv-*; do
        [ "$old" = "$ROOT$NEW" ] || rm -rf "$old"
    done
    rm -f "$ROOT/opt/earshot/former.service"
    NEW=""
}

runs_systemd() { [ -z "$ROOT" ] && [ -d /run/systemd/system ]; }

# True when the service is active, in one process, for some seconds.
stays_up() {
    local pid _
    pid="$(systemctl show "$UNIT" --value --property MainPID)"
    for _ in $(seq "$PROOF_S"); do
        sleep 1
        [ "$(systemctl show "$UNIT" --value --property ActiveState)" = active ] || return 1
        [ "$(systemctl show "$UNIT" --value --property MainPID)" = "$pid" ] || return 1
    done
}

start_service() {
    if [ -n "$ROOT" ]; then
        install -d "$ROOT/etc/systemd/system/multi-user.target.wants"
        ln -sf "/etc/systemd/system/$UNIT" "$ROOT/etc/systemd/system/multi-user.target.wants/$UNIT"
        say "Service: enabled, starts with the system in $ROOT"
    elif runs_systemd; then
        systemctl daemon-reload
        systemctl enable --quiet "$UNIT"
        if systemctl restart "$UNIT" && stays_up; then
            say "Service: running; see: journalctl -u earshot-node -f"
        else
            # A first installation stays, to be looked into.
            if [ -z "$OLD" ]; then NEW=""; fi
            fail "the service does not start; see: journalctl -u earshot-node -n 20"
        fi
    else
        say "Service: systemd does not run here; start it by: node-cli run --config /etc/earshot/node.yaml"
    fi
}

install_node() {
    require_system
    install_packages
    require_python
    create_user
    build_environment
    install_configuration
    require_valid_configuration
    switch_to_new
    say "Program: $(within /opt/earshot/venv/bin/node-cli --version) in /opt/earshot"
    start_service
    forget_former
    say "Next: set sources and broker in /etc/earshot/node.yaml, then: sudo systemctl restart earshot-node"
}

uninstall_node() {
    if runs_systemd; then
        systemctl disable --now --quiet "$UNIT" 2>/dev/null || true
    fi
    rm -f "$ROOT/etc/systemd/system/$UNIT" "$ROOT/etc/systemd/system/multi-user.target.wants/$UNIT"
    if runs_systemd; then systemctl daemon-reload; fi
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
