# shellcheck shell=bash
# Sourced by scripts/test and scripts/check: .venv-dev and the system packages that tests use.
#
#   make_test_environment everything|node    node: without torch

# shellcheck source=scripts/lib/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

TEST_PACKAGES=(mosquitto ffmpeg alsa-utils libasound2-plugins portaudio19-dev gcc libc6-dev openssl
    debootstrap systemd-container shellcheck)

# PyAudio has no Linux wheels: it needs a compiler, PortAudio's header and Python's.
can_build_pyaudio() {
    local headers
    headers="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
    command -v gcc >/dev/null && [ -e "$headers/Python.h" ] && echo '#include <portaudio.h>' | gcc -E - >/dev/null 2>&1
}

make_test_environment() {
    local extras="demo,dev" packages=("${TEST_PACKAGES[@]}") missing
    find_python
    case "$PYTHON" in
    /usr/bin/python3) packages+=(python3-dev) ;;
    /usr/bin/*) packages+=("python${PYTHON_VERSION%.*}-dev") ;;
    esac
    missing="$(missing_packages "${packages[@]}" | tr '\n' ' ')"
    if [ -n "$missing" ] && can_install_packages; then
        install_packages "${packages[@]}" || say "Some of these packages are missing; tests that need them are skipped."
    elif [ -n "$missing" ]; then
        say "Some tests are skipped; to run all of them: sudo apt-get install $missing"
    fi
    if can_build_pyaudio; then extras="mic,$extras"; fi
    if [ "$1" = everything ] || [ -e "$ROOT/.venv-dev/.with-torch" ]; then extras="trainer,$extras"; fi
    make_environment .venv-dev "$extras"
    case "$extras" in trainer,*) touch "$ROOT/.venv-dev/.with-torch" ;; esac
}
