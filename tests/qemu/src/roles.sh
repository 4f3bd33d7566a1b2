# Runs in the guest as centos after base.sh; the image `tiny` has been imported. NONCE is set in front.
set -u
fail() { echo "FAILED: $*"; exit 1; }

said=$(sudo docker run --rm tiny:1 /bin/busybox sh -c 'echo container-$((6*7))') || fail "docker run: $said"
[ "$said" = container-42 ] || fail "docker run printed $said"

etcdctl put proof "$NONCE" >/dev/null || fail "etcdctl put"
[ "$(etcdctl get proof --print-value-only)" = "$NONCE" ] || fail "etcdctl get"

printf %s "$NONCE" | sha256sum
