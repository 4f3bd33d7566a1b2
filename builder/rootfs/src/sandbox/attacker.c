/* A program that tries to leave the sandbox, or to take more than its share. Linked statically, so that it runs in an empty tree.
 *
 *   attacker ATTEMPT [ARGUMENT...]
 *
 * Prints "out: WHAT" for everything that it reached, and "held" if it reached nothing. Every attempt is harmless where the sandbox fails: calls
 * have arguments that a kernel without a sandbox refuses or ignores, nothing is written that is opened, and what grows is capped. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int reached;

static void out(const char *what) {
    printf("out: %s\n", what);
    reached = 1;
}
/* A call that must fail. */
static void refuse(const char *what, long result) {
    if (result != -1) out(what);
}
/* A call that must fail with one error, where the kernel's own refusal would be another. */
static void refuse_with(const char *what, long result, int expected) {
    if (result != -1 || errno != expected) {
        printf("%s: %ld, %s\n", what, result, strerror(errno));
        out(what);
    }
}
static void open_refused(const char *path, int flags) {
    int fd = open(path, flags);
    if (fd >= 0) out(path);
}

static void chroot_escape(char **arg) {
    mkdir("/x", 0755);
    if (chroot("/x") == 0)
        for (int i = 0; i < 64; i++) chdir("..");
    else
        printf("chroot refused\n");
    chroot(".");
    open_refused(arg[0], O_RDONLY);
    open_refused(arg[0] + 1, O_RDONLY);
}
static void proc_links(char **arg) {
    char text[8192];
    const char *forms[] = {"/proc/1/root%s", "/proc/self/root%s", "/proc/self/cwd/../../../../..%s", "/proc/thread-self/root/..%s", "/..%s"};
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, forms[i], arg[0]);
        open_refused(text, O_RDONLY);
    }
    snprintf(text, sizeof text, "/proc/%s/root", arg[1]);
    open_refused(text, O_PATH);
    /* The builder's memory would have its environment and keys. */
    int fd = open("/proc/1/environ", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    for (char *at = text; at < text + n; at += strlen(at) + 1)
        if (strstr(at, "CARGO")) out(at);
}
static void descriptors(char **arg) {
    (void)arg;
    for (int fd = 3; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) != -1) out("an inherited descriptor");
    for (int fd = 0; fd < 3; fd++)
        if (isatty(fd)) out("a terminal");
    open_refused("/dev/tty", O_RDWR);
}
static void mounts(char **arg) {
    mkdir("/m", 0755);
    refuse_with("mount", mount("tmpfs", "/m", "tmpfs", 0, 0), EPERM);
    refuse_with("mount proc", mount("proc", "/m", "proc", 0, 0), EPERM);
    refuse_with("bind mount", mount("/", "/m", 0, MS_BIND | MS_REC, 0), EPERM);
    refuse_with("remount proc", mount(0, "/proc", 0, MS_REMOUNT | MS_BIND, 0), EPERM);
    refuse_with("umount", umount2("/proc", MNT_DETACH), EPERM);
    refuse_with("pivot_root", syscall(SYS_pivot_root, ".", "."), EPERM);
    refuse_with("fsopen", syscall(SYS_fsopen, "tmpfs", 0), EPERM);
    refuse_with("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1), EPERM);
    refuse_with("move_mount", syscall(SYS_move_mount, -1, "", AT_FDCWD, "/m", 0), EPERM);
    refuse_with("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, 0, 0), EPERM);
    (void)arg;
}
static void namespaces(char **arg) {
    const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (int i = 0; i < 7; i++) {
        refuse_with("unshare", unshare(flags[i]), EPERM);
        long pid = syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) _exit(0);
        refuse_with("clone", pid, EPERM);
    }
    refuse_with("clone3", syscall(SYS_clone3, 0, 0), ENOSYS);
    int fd = open("/proc/self/ns/user", O_RDONLY);
    refuse_with("setns", setns(fd, 0), EPERM);
    (void)arg;
}
static void other_processes(char **arg) {
    char byte;
    struct iovec part = {&byte, 1};
    refuse_with("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM);
    refuse_with("ptrace of 1", ptrace(0x4206, 1, 0, 0), EPERM);
    refuse_with("process_vm_readv", process_vm_readv(getpid(), &part, 1, &part, 1, 0), EPERM);
    refuse_with("process_vm_writev", process_vm_writev(getpid(), &part, 1, &part, 1, 0), EPERM);
    refuse_with("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0), EPERM);
    refuse_with("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, 0), EPERM);
    if (getppid() != 0) out("the builder as parent");
    (void)arg;
}
static void signals(char **arg) {
    refuse("kill of a process of the machine", kill(atoi(arg[0]), 0));
    /* Only where both are this program's own does it really send. */
    if (getpid() != 1) return out("not the first process");
    if (getpgrp() != 1 || getsid(0) != 1) return out("the builder's process group");
    kill(0, SIGKILL);
    kill(-1, SIGKILL);
}
static void keyrings(char **arg) {
    refuse_with("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3), EPERM);
    refuse_with("request_key", syscall(SYS_request_key, "user", "x", 0, -3), EPERM);
    refuse_with("keyctl", syscall(SYS_keyctl, 0, -3, 0), EPERM);
    (void)arg;
}
static void kernel(char **arg) {
    refuse_with("bpf", syscall(SYS_bpf, 0, 0, 0), EPERM);
    refuse_with("perf_event_open", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0), EPERM);
    refuse_with("userfaultfd", syscall(SYS_userfaultfd, 0), EPERM);
    refuse_with("io_uring_setup", syscall(SYS_io_uring_setup, 0, 0), EPERM);
    refuse_with("init_module", syscall(SYS_init_module, 0, 0, ""), EPERM);
    refuse_with("finit_module", syscall(SYS_finit_module, -1, "", 0), EPERM);
    refuse_with("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, -1), EPERM);
    refuse_with("reboot", syscall(SYS_reboot, 0, 0, 0, 0), EPERM);
    refuse_with("swapon", syscall(SYS_swapon, "/none", 0), EPERM);
    refuse_with("settimeofday", syscall(SYS_settimeofday, 0, 0), EPERM);
    refuse_with("clock_settime", syscall(SYS_clock_settime, -1, 0), EPERM);
    refuse_with("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, 0, 0), EPERM);
    refuse_with("syslog", syscall(SYS_syslog, 10, 0, 0), EPERM);
    refuse_with("a call of the future", syscall(4000), ENOSYS);
    (void)arg;
}
static void settings(char **arg) {
    const char *files[] = {"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches"};
    for (int i = 0; i < 4; i++) open_refused(files[i], O_WRONLY);
    const char *read_only[] = {"/proc/kcore", "/proc/kallsyms", "/proc/cmdline", "/proc/modules", "/proc/keys", "/sys/kernel", "/sys/class/block"};
    for (int i = 0; i < 7; i++) open_refused(read_only[i], O_RDONLY);
    open_refused("/proc/self/oom_score_adj", O_WRONLY);
    (void)arg;
}
static void terminal(char **arg) {
    int fd = open("/dev/null", O_RDWR);
    refuse_with("TIOCSTI", ioctl(fd, 0x5412, "x"), EPERM);
    refuse_with("TIOCLINUX", ioctl(fd, 0x541c, "\3"), EPERM);
    (void)arg;
}
static void abstract_socket(char **arg) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + 1, arg[0], sizeof to.sun_path - 2);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    refuse_with("the machine's abstract socket", connect(fd, (void *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(arg[0])), ECONNREFUSED);
}
static void loopback(char **arg) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(arg[0])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    refuse_with("the machine's loopback", connect(fd, (void *)&to, sizeof to), ENETUNREACH);
}
static void families(char **arg) {
    for (int family = 3; family < 46; family++)
        if (family != AF_INET6 && family != AF_NETLINK) refuse_with("a socket family", socket(family, SOCK_STREAM, 0), EAFNOSUPPORT);
    (void)arg;
}
static void environment(char **arg) {
    const char *known[] = {"PATH=", "HOME=/root", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC", "SOURCE_DATE_EPOCH=7"};
    for (char **at = environ; *at; at++) {
        int found = 0;
        for (int i = 0; i < 6; i++) found |= strncmp(*at, known[i], strlen(known[i])) == 0;
        if (!found) out(*at);
    }
    (void)arg;
}
static void devices(char **arg) {
    refuse_with("mknod of memory", mknod("/mem", S_IFCHR | 0600, makedev(1, 1)), EPERM);
    refuse_with("mknod of a disk", mknod("/disk", S_IFBLK | 0600, makedev(8, 0)), EPERM);
    const char *names[] = {"/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/sda", "/dev/vda", "/dev/loop-control", "/dev/pts/0"};
    for (int i = 0; i < 8; i++) open_refused(names[i], O_RDONLY);
    (void)arg;
}
/* arg: a file of the machine, and a directory of the machine that everybody may write to */
static void links(char **arg) {
    refuse("hard link of a file of the machine", link(arg[0], "/stolen"));
    symlink(arg[1], "/way-out");
    refuse("write through a symlink", open("/way-out/written", O_CREAT | O_WRONLY, 0644));
    symlink(arg[0], "/secret-link");
    open_refused("/secret-link", O_RDONLY);
}
static void capabilities(char **arg) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct have[2];
    syscall(SYS_capget, &head, have);
    unsigned kept = strtoul(arg[0], 0, 16);
    if ((have[0].effective | have[0].permitted) & ~kept || have[1].effective | have[1].permitted) out("a capability");
    for (int i = 0; i < 64; i++)
        if (prctl(PR_CAPBSET_READ, i) == 1 && !(kept >> (i & 31) & 1 && i < 32)) out("a capability of the bounding set");
    if (have[0].inheritable | have[1].inheritable) out("an inheritable capability");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) out("new privileges");
    refuse("ambient capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
    refuse("setuid", setuid(1));
    refuse("setgid", setgid(1));
}
static void raise_limits(char **arg) {
    const int kinds[] = {RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_CORE, RLIMIT_MEMLOCK};
    for (int i = 0; i < 5; i++) {
        struct rlimit limit;
        getrlimit(kinds[i], &limit);
        limit.rlim_max += 1;
        refuse_with("setrlimit", setrlimit(kinds[i], &limit), EPERM);
    }
    (void)arg;
}
static void foreign_abi(char **arg) {
#ifdef __x86_64__
    long result;
    if (strcmp(arg[0], "i386") == 0)
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    else
        result = syscall(0x40000000 | SYS_getpid);
    if (result >= 0 || errno != ENOSYS) out("a call of another architecture");
#else
    (void)arg;
    raise(SIGSYS);
#endif
}
static void fork_bomb(char **arg) {
    int most = atoi(arg[0]), living = 0;
    for (; living < most; living++) {
        int pid = fork();
        if (pid == 0) {
            sleep(3);
            _exit(0);
        }
        if (pid < 0) break;
    }
    usleep(400000);
    if (living == most) out("more processes than the limit");
}
static void *sleeper(void *arg) {
    sleep(3);
    return arg;
}
static void thread_bomb(char **arg) {
    int most = atoi(arg[0]), living = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (pthread_t one; living < most && pthread_create(&one, &attributes, sleeper, 0) == 0;) living++;
    usleep(400000);
    if (living == most) out("more threads than the limit");
}
static void forever(char **arg) {
    (void)arg;
    sleep(30);
    out("more time than the limit");
}
static void output(char **arg) {
    static char text[65536];
    memset(text, 'x', sizeof text);
    long most = atol(arg[0]);
    for (long done = 0; done < most; done += sizeof text)
        if (write(1, text, sizeof text) < 0) return;
    usleep(400000);
    out("more output than the limit");
}
static void disk(char **arg) {
    static char text[262144];
    memset(text, 'x', sizeof text);
    long most = atol(arg[0]);
    for (long done = 0; done < most; done += sizeof text) {
        char name[64];
        snprintf(name, sizeof name, "/filler-%ld", done);
        int fd = open(name, O_CREAT | O_WRONLY, 0644);
        if (write(fd, text, sizeof text) < 0) return;
        fsync(fd);
        close(fd);
    }
    usleep(400000);
    out("more disk than the limit");
}
static void large_file(char **arg) {
    int fd = open("/large", O_CREAT | O_WRONLY, 0644);
    if (ftruncate(fd, atol(arg[0])) == 0) out("a larger file than the limit");
}
static void memory(char **arg) {
    /* Several processes that each stay below the limit of one. */
    long each = atol(arg[1]);
    for (int i = 0; i < atoi(arg[0]); i++) {
        if (fork() == 0) {
            char *bytes = mmap(0, each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (bytes == MAP_FAILED) _exit(1);
            memset(bytes, 1, each);
            sleep(3);
            _exit(0);
        }
    }
    int status, fine = 1;
    while (wait(&status) > 0) fine &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (fine) out("more memory than the limit");
}
static void daemon_left(char **arg) {
    (void)arg;
    if (fork() != 0) return;
    setsid();
    if (fork() != 0) _exit(0);
    close(0);
    close(1);
    close(2);
    for (int i = 1; i < 65; i++) signal(i, SIG_IGN);
    sleep(20);
    _exit(0);
}
static void nested(char **arg) {
    for (int i = 0; i < atoi(arg[0]); i++) {
        if (mkdir("d", 0755) != 0 || chdir("d") != 0) return out("mkdir failed");
    }
}
/* What reading back must cope with: /kept is what the builder reads. */
static void odd_files(char **arg) {
    (void)arg;
    mkdir("/kept", 0755);
    mkfifo("/kept/fifo", 0644);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/kept/socket"};
    if (bind(fd, (void *)&at, sizeof at) != 0) out("bind");
    close(open("/kept/\xff\n", O_CREAT | O_WRONLY, 0600));
    mkdir("/kept/closed", 0755);
    close(open("/kept/closed/file", O_CREAT | O_WRONLY, 0000));
    link("/kept/closed/file", "/kept/twin");
    symlink("/etc/passwd", "/kept/link");
    chmod("/kept/closed", 0000);
    chmod("/", 0000);
}
static void sparse(char **arg) {
    mkdir("/kept", 0755);
    int fd = open("/kept/sparse", O_CREAT | O_WRONLY, 0644);
    if (ftruncate(fd, atol(arg[0])) != 0) out("ftruncate");
}
static void owners(char **arg) {
    (void)arg;
    mkdir("/kept", 0755);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "/kept/%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    symlink("0", "/kept/link");
    int fd = open("/kept/2", O_RDONLY), folder = open("/kept", O_RDONLY | O_DIRECTORY);
    if (chown("/kept/link", 48, 49)) out("chown");
    if (lchown("/kept/link", 50, -1)) out("lchown");
    if (chown("/kept/../kept/1", -1, 51)) out("chown of the group");
    if (fchown(fd, 52, 53)) out("fchown");
    if (fchownat(folder, "3", 54, 55, 0)) out("fchownat");
    rename("/kept/3", "/kept/moved");
    if (chown("/kept/4", 0, 0)) out("chown to root");
    if (chown("/tmp", 9, 9)) out("chown of /tmp");
    refuse_with("chown of nothing", chown("/kept/none", 48, 48), ENOENT);
    refuse_with("chown of a bad address", syscall(SYS_fchownat, AT_FDCWD, 8L, 48, 48, 0), EFAULT);
}

static const struct {
    const char *name;
    void (*attempt)(char **);
} attempts[] = {
    {"chroot", chroot_escape}, {"proc", proc_links}, {"descriptors", descriptors}, {"mounts", mounts}, {"namespaces", namespaces},
    {"processes", other_processes}, {"signals", signals}, {"keyrings", keyrings}, {"kernel", kernel}, {"settings", settings},
    {"terminal", terminal}, {"abstract", abstract_socket}, {"loopback", loopback}, {"families", families}, {"environment", environment},
    {"devices", devices}, {"links", links}, {"capabilities", capabilities}, {"limits", raise_limits}, {"abi", foreign_abi},
    {"forks", fork_bomb}, {"threads", thread_bomb}, {"forever", forever}, {"output", output}, {"disk", disk}, {"large", large_file},
    {"memory", memory}, {"daemon", daemon_left}, {"nested", nested}, {"odd", odd_files}, {"sparse", sparse}, {"owners", owners},
};

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    for (size_t i = 0; argc > 1 && i < sizeof attempts / sizeof *attempts; i++)
        if (strcmp(attempts[i].name, argv[1]) == 0) {
            attempts[i].attempt(argv + 2);
            if (!reached) printf("held\n");
            return reached ? 9 : 0;
        }
    printf("no such attempt\n");
    return 8;
}
