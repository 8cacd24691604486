# shellcheck shell=bash
# Sourced by scripts/*: finds Python and makes the virtual environments. Needs python3 and nothing else.
#
#   make_environment FOLDER EXTRAS    .venv-like folder with the project (editable) and its extras, up to date
#   fail MESSAGE                      one line on stderr, exit 1
#
# A second run costs a hash of pyproject.toml. Package indexes are those that pip or uv are configured for.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
MINIMUM_PYTHON="3.11"
SETUP_LOG=""
PYTHON=""

# shellcheck source=scripts/lib/system_packages.sh
. "$ROOT/scripts/lib/system_packages.sh"

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    [ -z "$SETUP_LOG" ] || rm -f "$SETUP_LOG"
    exit 1
}

# Prints "VERSION BITS LIBC PATH" of a Python; fails when it does not run or is too old.
probe_python() {
    "$1" - <<'PYTHON_CODE' 2>/dev/null
import platform, struct, sys, sysconfig
if sys.version_info < (3, 11):
    raise SystemExit(1)
libc = "musl" if "musl" in (sysconfig.get_config_var("SOABI") or "") else "glibc"
print(platform.python_version(), struct.calcsize("P") * 8, libc, sys.executable)
PYTHON_CODE
}

python_candidates() {
    printf '%s\n' ${EARSHOT_PYTHON:+"$EARSHOT_PYTHON"} python3 python3.13 python3.12 python3.11 python3.14
    if command -v uv >/dev/null; then
        UV_PYTHON_DOWNLOADS=never uv python find ">=$MINIMUM_PYTHON" 2>/dev/null || true
    fi
}

# Sets PYTHON (absolute path) and PYTHON_VERSION to the first Python that will do.
find_python() {
    local candidate facts="" bits libc
    [ -z "$PYTHON" ] || return 0
    while read -r candidate; do
        if facts="$(probe_python "$candidate")"; then break; fi
    done < <(python_candidates)
    if [ -z "$facts" ]; then
        fail "Python $MINIMUM_PYTHON or newer is needed and python3 is" \
            "$(python3 --version 2>/dev/null || echo missing); try: sudo apt-get install python3.11 python3.11-venv"
    fi
    read -r PYTHON_VERSION bits libc PYTHON <<<"$facts"
    if [ "$bits" != 64 ]; then
        fail "this Python has $bits bits and onnxruntime needs 64; install the 64-bit edition of the operating system"
    fi
    if [ "$libc" != glibc ]; then
        fail "this system uses musl and onnxruntime needs glibc; use Debian, Ubuntu or Raspberry Pi OS"
    fi
}

# Runs a command with its output in a log; shows the log's end only when the command fails.
quietly() {
    [ -n "$SETUP_LOG" ] || SETUP_LOG="$(mktemp "${TMPDIR:-/tmp}/earshot-setup.XXXXXX")"
    "$@" >"$SETUP_LOG" 2>&1
}

show_log() { tail -n 20 "$SETUP_LOG" >&2; }

# Puts pip into a venv made without it, from Debian's own package of pip's wheel; needs no root.
pip_from_debian_package() {
    local venv="$1" folder wheel
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    folder="$(mktemp -d)"
    (cd "$folder" && apt-get download python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb .) || return 1
    wheel="$(find "$folder/usr/share/python-wheels" -name 'pip-*.whl' | head -n 1)"
    [ -n "$wheel" ] && "$venv/bin/python" "$wheel/pip" install --no-index "$wheel"
    local result=$?
    rm -rf "$folder"
    return $result
}

pip_from_system() { "$PYTHON" -m pip --python "$1/bin/python" install pip; }

# Makes VENV with pip or, where uv is installed, without; tries each way there is.
create_venv() {
    local venv="$1" package
    rm -rf "$venv"
    if command -v uv >/dev/null && quietly uv venv --quiet --no-project --python "$PYTHON" "$venv"; then return; fi
    if quietly "$PYTHON" -m venv "$venv"; then return; fi
    package="$([ "$PYTHON" = /usr/bin/python3 ] && echo python3-venv || echo "python${PYTHON_VERSION%.*}-venv")"
    rm -rf "$venv"
    if can_install_packages && install_packages "$package" && quietly "$PYTHON" -m venv "$venv"; then return; fi
    rm -rf "$venv"
    if quietly "$PYTHON" -m venv --without-pip "$venv"; then
        if quietly pip_from_system "$venv" || quietly pip_from_debian_package "$venv"; then return; fi
    fi
    rm -rf "$venv"
    fail "$PYTHON cannot make a virtual environment here; try: sudo apt-get install $package"
}

# uv reads no pip configuration: hand it the index that pip is set to, if any.
use_pip_index_for_uv() {
    local python index
    [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] || return 0
    index="${PIP_INDEX_URL:-}"
    for python in "$1/bin/python" "$PYTHON"; do
        [ -n "$index" ] || index="$("$python" -m pip config get global.index-url 2>/dev/null)" || index=""
    done
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
}

# Installs the project with extras; uv where it can be had (minutes faster with torch), else pip.
install_project() {
    local venv="$1" target="$ROOT${2:+[$2]}" uv=""
    if command -v uv >/dev/null; then
        uv="$(command -v uv)"
    elif quietly "$venv/bin/python" -m pip install --quiet uv; then
        uv="$venv/bin/uv"
    fi
    use_pip_index_for_uv "$venv"
    if [ -n "$uv" ] && quietly "$uv" pip install --quiet --python "$venv/bin/python" --editable "$target"; then return; fi
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        quietly "$venv/bin/python" -m pip install --quiet --editable "$target" && return
    fi
    show_log
    fail "the packages above could not be installed into $venv; is the network up? Then run this again"
}

# Succeeds when every extra of the first comma list is in the second.
has_extras() {
    local extra
    for extra in ${1//,/ }; do
        case ",$2," in *",$extra,"*) ;; *) return 1 ;; esac
    done
}

# make_environment FOLDER EXTRAS: e.g. `make_environment .venv demo`. Extras that were installed before stay.
make_environment() {
    local venv="$ROOT/$1" extras="$2" made_from="" had_extras="" wanted
    find_python
    exec 9<"$ROOT"
    flock 9
    wanted="$ROOT $PYTHON $PYTHON_VERSION $(sha256sum <"$ROOT/pyproject.toml")"
    { read -r made_from && read -r had_extras; } 2>/dev/null <"$venv/.earshot-setup" || true
    if [ "$made_from" != "$wanted" ] || ! "$venv/bin/python" -c "" 2>/dev/null; then made_from="" had_extras=""; fi
    if [ -z "$made_from" ] || ! has_extras "$extras" "$had_extras"; then
        has_extras "$had_extras" "$extras" || extras="$extras,$had_extras"
        say "Setting up $1 with Python $PYTHON_VERSION ..."
        if [ -n "$made_from" ]; then rm -f "$venv/.earshot-setup"; else create_venv "$venv"; fi
        install_project "$venv" "$extras"
        printf '%s\n' "$wanted" "$extras" >"$venv/.earshot-setup"
        say "$1 is ready after $SECONDS s"
    fi
    exec 9<&-
    [ -z "$SETUP_LOG" ] || rm -f "$SETUP_LOG"
}
