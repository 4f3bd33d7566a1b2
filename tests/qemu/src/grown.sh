# Runs in the guest as centos, on a disk of 20 GiB. NONCE is set in front. The last line is said only when all before held.
set -u
fail() { echo "FAILED: $*"; exit 1; }

timeout 400 systemctl is-system-running --wait >/dev/null
systemctl is-active --quiet atomic-grow-root.service || fail "$(systemctl status --no-pager -l -n 30 atomic-grow-root.service)"
size=$(df --output=size -B1 /sysroot | tail -n 1)
[ "$size" -gt $((18 << 30)) ] || fail "/sysroot has $size bytes: $(sudo journalctl -b -u atomic-grow-root.service --no-pager)"
findmnt -no OPTIONS /sysroot | grep -Eq '(^|,)ro(,|$)' || fail "/sysroot can be written to: $(findmnt -no OPTIONS /sysroot)"

# Into the new groups: a big allocation, many small files, attributes.
sudo fallocate -l 12G /var/big || fail "12 GiB cannot be taken"
sudo sh -c 'mkdir /var/many && cd /var/many && seq 1 3000 | while read -r n; do echo "$n" >"$n"; done && ln 1 one && mkdir sub && mv 2 sub/' || fail "small files"
sudo rm -r /var/big && sudo sync || fail "removing them"
[ "$(cat /var/many/3000)" = 3000 ] || fail "a file reads back wrong"

printf %s "$NONCE" | sha256sum
