# In the new tree, as root: nothing that was on the host is gone, and everything that the tree asks for is there.
[ "$(cat /etc/atomic-proof)" = kept ]
[ "$(cat /var/atomic-proof)" = kept ]
# Each user that the tree's sysusers.d names.
awk '$1 ~ /^u!?$/ && $2 !~ /%/ {print $2}' /usr/lib/sysusers.d/*.conf | sort -u | while read -r user; do
    getent passwd "$user" >/dev/null || { echo "user $user is not there" >&2; exit 1; }
done
# Each kernel argument of the tree.
sed -n 's/^kargs = \["\(.*\)"\]$/\1/p' /usr/lib/bootc/kargs.d/*.toml | sed 's/", *"/\n/g' | while read -r word; do
    tr ' ' '\n' </proc/cmdline | grep -qxF -- "$word" || { echo "kernel argument $word is not in effect" >&2; exit 1; }
done
if command -v docker >/dev/null && docker inspect atomic-proof >/dev/null 2>&1; then
    for _ in $(seq 60); do
        [ "$(docker inspect -f '{{.State.Running}}' atomic-proof)" = true ] && break
        sleep 2
    done
    [ "$(docker exec atomic-proof /bin/cat /data/file)" = kept ]
fi
