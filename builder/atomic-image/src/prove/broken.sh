# In the guest as root, with OS set. `add PATH TEXT` puts an executable into the next tree; `deploy OPTIONS` commits the running tree with what was added as
# version 0-broken, and makes it the default with plain ostree, as somebody would who knows nothing of boot counting.
added=$(mktemp -d)
chmod 755 "$added"
add() {
    mkdir -p "$added/$(dirname "$1")"
    printf '%s\n' "$2" >"$added/$1"
    chmod 755 "$added/$1"
}
deploy() {
    local base
    base=$(ostree admin status | awk '/^\*/ {split($3, part, "."); print part[1]}')
    add usr/share/atomic-image/broken broken
    ostree commit --repo=/sysroot/ostree/repo -b local/broken --tree=ref="$base" --tree=dir="$added" --owner-uid=0 --owner-gid=0 \
        --add-metadata-string=version=0-broken --no-bindings
    ostree admin deploy --os="$OS" "$@" local/broken
}
