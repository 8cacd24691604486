# shellcheck shell=bash
# Sourced by scripts/check.
#
#   shell_is_clean FILE...    says what shellcheck finds; without shellcheck it fails only where CI or EARSHOT_NO_SKIPS is set

shell_is_clean() {
    if ! command -v shellcheck >/dev/null; then
        echo "not installed, shell scripts were not checked (sudo apt-get install shellcheck)"
        [ -z "${CI:-}${EARSHOT_NO_SKIPS:-}" ]
    elif shellcheck --external-sources "$@"; then
        echo "clean"
    else
        return 1
    fi
}
