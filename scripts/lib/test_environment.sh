# shellcheck shell=bash
# Sourced by scripts/test and scripts/check: .venv-dev and the system packages that tests use.
#
#   make_test_environment everything|node    node: without torch

# shellcheck source=scripts/lib/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# shellcheck source=scripts/lib/microphone.sh
. "$(dirname "${BASH_SOURCE[0]}")/microphone.sh"

TEST_PACKAGES=(
    mosquitto ffmpeg alsa-utils libasound2-plugins openssl debootstrap systemd systemd-container shellcheck postgresql
    libfluidsynth3 timgm6mb-soundfont
)

make_test_environment() {
    local extras="demo,dev" packages missing
    find_python
    mapfile -t packages < <(printf '%s\n' "${TEST_PACKAGES[@]}" && microphone_packages)
    missing="$(missing_packages "${packages[@]}" | tr '\n' ' ')"
    if [ -n "$missing" ] && can_install_packages; then
        install_packages "${packages[@]}" || say "Some of these packages are missing; tests that need them are skipped."
    elif [ -n "$missing" ]; then
        say "Some tests are skipped; to run all of them: sudo apt-get install $missing"
    fi
    if can_build_pyaudio; then extras="mic,$extras"; fi
    if [ "$1" = everything ]; then extras="trainer,teacher,music,$extras"; fi
    make_environment .venv-dev "$extras"
}
