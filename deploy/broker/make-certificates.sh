#!/usr/bin/env bash
# Makes a small authority (authority/) and the broker's certificate (config/tls/), beside this script.
#
#   deploy/broker/make-certificates.sh broker.lan 192.0.2.10     every name and address that clients connect to
#   deploy/broker/make-certificates.sh --days 90 broker.lan      how long the broker's certificate lasts (default 825)
#
# The authority is made once and kept; clients need ca.crt. Run again to renew the broker's certificate, which a running
# broker reads again at SIGHUP, with the rights of its own user: as root, server.key gets the owner of the former one,
# the first one that of the folder.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
AUTHORITY="$HERE/authority"
TLS="$HERE/config/tls"
DAYS=825
AUTHORITY_DAYS=3650

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

give_to_owner_of() {
    if [ "$(id -u)" = 0 ]; then chown --reference "$@"; fi
}

alternative_names() {
    local name list="DNS:localhost,IP:127.0.0.1"
    for name in "$@"; do
        if [[ "$name" =~ ^[0-9.]+$ || "$name" == *:* ]]; then list+=",IP:$name"; else list+=",DNS:$name"; fi
    done
    printf '%s' "$list"
}

case "${1:-}" in
--days)
    DAYS="${2:?--days needs a number}"
    shift 2
    ;;
-h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit
    ;;
esac
[ $# -gt 0 ] || fail "name at least one host that clients connect to, such as broker.lan"
command -v openssl >/dev/null || fail "openssl is missing; try: sudo apt-get install openssl"

umask 077
mkdir -p "$AUTHORITY"
if [ ! -d "$TLS" ]; then
    mkdir "$TLS"
    give_to_owner_of "$HERE/config" "$TLS"
fi
new="$(mktemp -d "$TLS/.new.XXXXXX")"
trap 'rm -rf "$new"' EXIT

if [ ! -e "$AUTHORITY/ca.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days "$AUTHORITY_DAYS" \
        -subj "/CN=Earshot broker authority" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$AUTHORITY/ca.key" -out "$AUTHORITY/ca.crt" 2>/dev/null
fi
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj "/CN=$1" \
    -keyout "$new/server.key" -out "$new/server.csr" 2>/dev/null
openssl x509 -req -in "$new/server.csr" -CA "$AUTHORITY/ca.crt" -CAkey "$AUTHORITY/ca.key" -CAcreateserial \
    -days "$DAYS" -out "$new/server.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$(alternative_names "$@")") 2>/dev/null
cp "$AUTHORITY/ca.crt" "$new/ca.crt"
chmod 0644 "$new/ca.crt" "$new/server.crt"
owner="$TLS"
if [ -e "$TLS/server.key" ]; then owner="$TLS/server.key"; fi
give_to_owner_of "$owner" "$new/ca.crt" "$new/server.crt" "$new/server.key"
mv "$new/ca.crt" "$new/server.crt" "$new/server.key" "$TLS/"
echo "Wrote $TLS: ca.crt (for every client), server.crt and server.key (for the broker, $DAYS days)."
echo "Keep $AUTHORITY/ca.key to yourself: who has it can make certificates."
