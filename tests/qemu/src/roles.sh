# Runs in the guest as centos after base.sh; the image `tiny` has been imported. NONCE is set in front.
set -u
fail() { echo "FAILED: $*"; exit 1; }

said=$(sudo docker run --rm tiny:1 /bin/busybox sh -c 'echo container-$((6*7))') || fail "docker run: $said"
[ "$said" = container-42 ] || fail "docker run printed $said"

# The same image for an ordinary user's podman.
sudo docker save tiny:1 | podman load -q >/dev/null || fail "podman load"
said=$(podman run --rm tiny:1 /bin/busybox sh -c 'echo rootless-$((6*7))' 2>&1) || fail "podman run: $said"
[ "$said" = rootless-42 ] || fail "podman run printed $said"
said=$(sudo docker info 2>&1 >/dev/null)
[ -z "$said" ] || fail "docker info warns: $said"
docker buildx version >/dev/null || fail "docker has no buildx"
[ "$(cat /sys/fs/selinux/enforce)" = 1 ] || fail "SELinux does not enforce"
said=$(sudo docker run --rm tiny:1 /bin/busybox cat /proc/self/attr/current | tr -d '\0')
case $said in system_u:system_r:container_t:s0:c*) ;; *) fail "a container of docker runs as $said" ;; esac

# A container outlives its daemon, and ends by its own signal before systemd would kill it.
id=$(sudo docker run -d tiny:1 /bin/busybox sh -c 'trap "exit 7" TERM; while :; do /bin/busybox sleep 1; done') || fail "docker run -d"
systemctl show -P Before "docker-$id.scope" | grep -qw atomic-containers.service || fail "the container's scope would be stopped first"
sudo systemctl restart docker.service || fail "docker does not start again"
[ "$(sudo docker inspect -f '{{.State.Running}}' "$id")" = true ] || fail "a restart of docker ended a container"
sudo systemctl restart atomic-containers.service
state=$(sudo docker inspect -f '{{.State.Running}} {{.State.ExitCode}}' "$id")
[ "$state" = 'false 7' ] || fail "expected a stopped container with exit code 7, found $state"

etcdctl put proof "$NONCE" >/dev/null || fail "etcdctl put"
[ "$(etcdctl get proof --print-value-only)" = "$NONCE" ] || fail "etcdctl get"

printf %s "$NONCE" | sha256sum
