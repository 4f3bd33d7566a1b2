# Runs in the guest as centos: a container that tries to leave. Each attempt must fail, and leave the denial that is named beside it in the kernel's log.
set -u
fail() { echo "FAILED: $*"; exit 1; }
B=/bin/busybox
# refused NAME PERMISSION SOURCE TARGET COMMAND...: the command fails, with a denial of that permission from that type to one of these types
refused() {
    local name=$1 permission=$2 source=$3 target=$4 said denial; shift 4
    sudo dmesg -C
    if said=$("$@" 2>&1); then fail "$name: it was allowed: $said"; fi
    sleep 1
    denial=$(sudo dmesg | grep -E "avc:  denied  \{[^}]* $permission .*scontext=[^ ]*:$source:[^ ]* tcontext=[^ ]*:($target):" | head -n 1)
    [ -n "$denial" ] || fail "$name: no denial of $permission from $source to $target, it said: $said; denied was: $(sudo dmesg | grep avc: | tail -n 3)"
    echo "refused $name: ${denial#*avc: }"
}
sudo mkdir -p /var/lib/exercise && echo secret | sudo tee /var/lib/exercise/file >/dev/null
sudo docker run -d --name owner -v /var/lib/exercise:/data:Z tiny:1 $B sleep 100000 >/dev/null || fail "docker run -v …:Z"
[ "$(sudo docker exec owner $B cat /data/file)" = secret ] || fail "a container cannot read its own volume"
merged=$(sudo docker inspect owner --format '{{.GraphDriver.Data.MergedDir}}')
for engine in docker podman; do
    run="sudo $engine run --rm"
    # What masks the paths of /proc by mounts, which are not what is tested here.
    if [ "$engine" = docker ]; then unmask=systempaths=unconfined; else unmask=unmask=ALL; fi
    refused "$engine: the host's shadow" read container_t shadow_t $run -v /etc:/host:ro tiny:1 $B cat /host/shadow
    refused "$engine: a file in the host's /etc" write container_t etc_t $run -v /etc:/host tiny:1 $B touch /host/x
    refused "$engine: another container's volume" read container_t container_file_t $run -v /var/lib/exercise:/data tiny:1 $B cat /data/file
    refused "$engine: another container's root" '(read|open|search)' container_t container_file_t $run -v "$merged:/data" tiny:1 $B ls /data/bin
    refused "$engine: etcd's data" '(read|open)' container_t var_lib_t $run -v /var/lib/etcd:/data tiny:1 $B ls /data
    # curl is the host's: the container's root has nothing that speaks over a socket.
    curl="/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path /lib/x86_64-linux-gnu /hostbin/curl"
    for socket in /run/docker.sock /run/containerd/containerd.sock; do
        refused "$engine: the socket $socket" '(write|connectto)' container_t '(container_runtime_t|dockerd_t|init_t)' \
            $run -v /usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:ro -v /usr/bin:/hostbin:ro -v $socket:/socket tiny:1 \
            $curl -s -m 20 --unix-socket /socket http://host/version
    done
    refused "$engine: a sysctl of the kernel" write container_t sysctl_kernel_t \
        $run --security-opt $unmask tiny:1 $B sh -c 'echo x >/proc/sys/kernel/core_pattern'
    refused "$engine: a mount" mounton container_t '[a-z_]+' \
        $run --cap-add SYS_ADMIN --security-opt seccomp=unconfined tiny:1 $B mount -t tmpfs none /bin
done
sudo docker rm -f owner >/dev/null
echo all-refused
