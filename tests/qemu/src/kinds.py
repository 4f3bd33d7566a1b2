# Runs in the guest as root, with a second disk that has every kind of inode and attribute. Prints a line for each inode as the kernel sees it, then
# writes, and ends with the digest of a sealed file.
import fcntl, hashlib, os, stat, struct, subprocess, sys

DISK, TOP = "/dev/disk/by-label/kinds", b"/run/kinds"
GETFLAGS, IMMUTABLE = 0x80086601, 0x10
ENABLE_VERITY, MEASURE_VERITY = 0x40806685, 0xC0046686
digest = lambda data: hashlib.sha256(data).hexdigest()


def opened(path, work, flags=os.O_RDONLY | os.O_NONBLOCK):
    fd = os.open(path, flags)
    try:
        return work(fd)
    finally:
        os.close(fd)


def line(path):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    content, links, immutable = "-", str(st.st_nlink), "-"
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            content = digest(file.read())
    elif kind == stat.S_IFLNK:
        content = os.readlink(path).hex()
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        content = f"{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
    elif kind == stat.S_IFDIR:
        links = "-"
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        flags = opened(path, lambda fd: struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0" * 8)[:4])[0])
        immutable = "i" if flags & IMMUTABLE else "-"
    names = sorted(os.listxattr(path, follow_symlinks=False))
    attributes = ",".join(f"{name}={digest(os.getxattr(path, name, follow_symlinks=False))}" for name in names) or "-"
    name = path[len(TOP):].hex() or "2f"
    return f"{name} {st.st_mode:o} {st.st_uid} {st.st_gid} {links} {st.st_mtime_ns} {content} {attributes} {immutable}"


def mount():
    subprocess.run(["mount", "-t", "ext4", "-o", "noatime", DISK, TOP], check=True)


subprocess.run(["dmesg", "--clear"], check=True)
os.makedirs(TOP, exist_ok=True)
mount()
found = [TOP]
for folder, folders, files in os.walk(TOP):
    folders[:] = [name for name in folders if name != b"lost+found"]
    found += [os.path.join(folder, name) for name in folders + files]
print("\n".join(line(path) for path in found))

# An immutable file stays as it is.
try:
    opened(TOP + b"/immutable", lambda fd: None, os.O_WRONLY)
    sys.exit("FAILED: the immutable file can be written to")
except PermissionError:
    pass
# Into hashed directories, sparse files, full attribute blocks and shared ones.
for n in range(2000):
    with open(TOP + b"/names/new-%d" % n, "wb") as file:
        file.write(b"%d" % n)
for n in range(0, 3000, 3):
    os.unlink(TOP + b"/names/%04d" % n)
with open(TOP + b"/fragments", "r+b") as file:
    for n in range(0, 400, 7):
        file.seek(n * 8192 + 4096)
        file.write(b"between")
os.setxattr(TOP + b"/attributes", "user.later", b"x" * 500)
os.setxattr(TOP + b"/attributes", "user.large", b"y" * 30000)
os.removexattr(TOP + b"/shared-1", "user.block")
os.truncate(TOP + b"/sparse", 1 << 20)
os.rename(TOP + b"/one", TOP + b"/names/one")
# Sealed, and read again from the disk.
argument = struct.pack("IIII", 1, 1, 4096, 0) + bytes(112)
opened(TOP + b"/sealed", lambda fd: fcntl.ioctl(fd, ENABLE_VERITY, argument))
subprocess.run(["umount", TOP], check=True)
mount()
with open(TOP + b"/sealed", "rb") as file:
    file.read()
measured = bytearray(struct.pack("HH", 0, 32) + bytes(32))
opened(TOP + b"/sealed", lambda fd: fcntl.ioctl(fd, MEASURE_VERITY, measured))
try:
    opened(TOP + b"/sealed", lambda fd: None, os.O_WRONLY)
    sys.exit("FAILED: the sealed file can be written to")
except PermissionError:
    pass
assert os.getxattr(TOP + b"/attributes", "user.large") == b"y" * 30000
assert len(os.listdir(TOP + b"/names")) == 5000 + 2000 - 1000 + 1
subprocess.run(["umount", TOP], check=True)
said = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
bad = [text for text in said.splitlines() if "EXT4-fs" in text and ("error" in text or "warning" in text)]
if bad:
    sys.exit(f"FAILED: {bad}")
print(f"sealed {measured[4:].hex()}")
