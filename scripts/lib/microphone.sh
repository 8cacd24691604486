# shellcheck shell=bash
# Sourced by scripts/*: what the extra `mic` needs. PyAudio has no Linux wheels; it is built from PortAudio's headers.
#
#   microphone_packages     prints the system packages
#   can_build_pyaudio       true when compiler and headers are here

microphone_packages() {
    printf '%s\n' portaudio19-dev gcc libc6-dev
    find_python
    case "$PYTHON" in
    /usr/bin/python3) echo python3-dev ;;
    /usr/bin/*) echo "python${PYTHON_VERSION%.*}-dev" ;;
    esac
}

can_build_pyaudio() {
    local headers
    find_python
    headers="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
    command -v gcc >/dev/null && [ -e "$headers/Python.h" ] && echo '#include <portaudio.h>' | gcc -E - >/dev/null 2>&1
}
