# shellcheck shell=bash
# Sourced by scripts/*: system packages by apt, where this user may install them.
#
#   can_install_packages      true for root and for passwordless sudo, on a system with apt
#   install_packages NAME...  installs what is missing; false when something could not be had
#   missing_packages NAME...  prints those that are not installed

APT_INDEX_READ=""

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_install_packages() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

missing_packages() {
    local name
    for name in "$@"; do
        case "$(dpkg-query --show --showformat '${Status}' "$name" 2>/dev/null)" in
        *" installed") ;;
        *) printf '%s\n' "$name" ;;
        esac
    done
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# The package mosquitto starts a broker at once and at every boot; nobody asked for that here.
silence_new_broker() {
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now --quiet mosquitto.service 2>/dev/null || true
        say "The service of the package mosquitto was switched off; tests start a broker of their own."
    fi
}

install_packages() {
    local missing=()
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "Installing system packages: ${missing[*]}"
    if [ -z "$APT_INDEX_READ" ]; then
        quietly apt_get update || say "apt-get update failed; trying with the package index as it is"
        APT_INDEX_READ=1
    fi
    if ! quietly apt_get install --yes --no-install-recommends "${missing[@]}"; then
        show_log
        return 1
    fi
    case " ${missing[*]} " in *" mosquitto "*) silence_new_broker ;; esac
}
