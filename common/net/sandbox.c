/* SPDX-License-Identifier: ISC */
/*
 * Landlock and seccomp. Landlock is spoken directly: Debian 12's headers know
 * only its second version, newer kernels more; rights are asked for by the
 * version that the kernel reports.
 */
#include "common/net/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"

/* --- Landlock: numbers of the kernel's linux/landlock.h --- */

#define LL_EXECUTE (1ULL << 0)
#define LL_WRITE_FILE (1ULL << 1)
#define LL_READ_FILE (1ULL << 2)
#define LL_READ_DIR (1ULL << 3)
#define LL_REFER (1ULL << 13)    /* version 2 */
#define LL_TRUNCATE (1ULL << 14) /* version 3 */
#define LL_V1_ALL ((1ULL << 13) - 1)
#define LL_NET_BIND (1ULL << 0) /* version 4 */
#define LL_NET_CONNECT (1ULL << 1)
#define LL_RULE_PATH 1
#define LL_RULE_PORT 2
#define LL_QUERY_VERSION 1

struct ll_ruleset {
	uint64_t fs, net;
};
struct ll_port {
	uint64_t access, port;
};
struct ll_path {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

#define LL_READ (LL_READ_FILE | LL_READ_DIR)
#define LL_OF_FILES (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE)

/* What the libraries read: resolver, TLS roots, character sets, time zones,
 * the loader (for gconv and NSS modules). No user data is below these. */
static const struct service_path system_paths[] = {
	{ "/etc/resolv.conf", false },
	{ "/etc/hosts", false },
	{ "/etc/host.conf", false },
	{ "/etc/nsswitch.conf", false },
	{ "/etc/gai.conf", false },
	{ "/etc/services", false },
	{ "/etc/protocols", false },
	{ "/etc/localtime", false },
	{ "/etc/ld.so.cache", false },
	{ "/etc/ssl/certs", false },
	{ "/etc/ssl/openssl.cnf", false },
	{ "/usr/lib", false },
	{ "/usr/local/share/ca-certificates", false },
	{ "/usr/share/ca-certificates", false },
	{ "/usr/share/dns", false },
	{ "/usr/share/locale", false },
	{ "/usr/share/publicsuffix", false },
	{ "/usr/share/zoneinfo", false },
	{ "/lib64", false },
	{ "/run/systemd/resolve", false },
	{ "/sys/devices/system/cpu", false },
	{ "/proc/self", false },
	{ "/dev/urandom", false },
	{ "/dev/random", false },
	{ "/dev/null", true },
	{ "/dev/zero", false },
};

static int
landlock_version(void)
{
	return (int)syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LL_QUERY_VERSION);
}

static int
landlock_allow(int ruleset, const struct service_path *p, uint64_t handled)
{
	struct ll_path rule = { 0 };
	struct stat st;
	int rc = 0;

	rule.fd = open(p->path, O_PATH | O_CLOEXEC);
	if (rule.fd == -1)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	rule.access = p->write ? handled & ~LL_EXECUTE : LL_READ;
	if (fstat(rule.fd, &st) == -1)
		rc = -errno;
	else if (!S_ISDIR(st.st_mode))
		rule.access &= LL_OF_FILES;
	if (rc == 0 &&
	    syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH, &rule, 0))
		rc = -errno;
	close(rule.fd);
	return rc;
}

static int
landlock_allow_all(
    int ruleset, const struct service_path *paths, size_t n, uint64_t handled)
{
	int rc;

	for (size_t i = 0; i < n; i++)
		if ((rc = landlock_allow(ruleset, &paths[i], handled)) != 0) {
			log_error("sandbox", "landlock path=\"%s\" error=%s",
			    log_qs(paths[i].path), strerror(-rc));
			return rc;
		}
	return 0;
}

static int
landlock_allow_ports(int ruleset, const uint16_t *ports, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct ll_port rule = { LL_NET_CONNECT, ports[i] };

		if (syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PORT, &rule,
			0) != 0)
			return -errno;
	}
	return 0;
}

static int
landlock_enter(const struct sandbox *s)
{
	const size_t n_system = sizeof(system_paths) / sizeof(system_paths[0]);
	struct ll_ruleset attr = { .fs = LL_V1_ALL };
	int version = landlock_version(), ruleset, rc;

	if (version < 1) {
		log_warning("sandbox", "no landlock in this kernel");
		return 0;
	}
	if (version >= 2)
		attr.fs |= LL_REFER;
	if (version >= 3)
		attr.fs |= LL_TRUNCATE;
	if (version >= 4 && !s->connects_out)
		attr.net = s->n_ports > 0 ? LL_NET_CONNECT
					  : LL_NET_CONNECT | LL_NET_BIND;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
	    version >= 4 ? sizeof(attr) : sizeof(attr.fs), 0);
	if (ruleset == -1)
		return -errno;
	rc = landlock_allow_all(ruleset, system_paths, n_system, attr.fs);
	if (rc == 0)
		rc = landlock_allow_all(ruleset, s->paths, s->n, attr.fs);
	if (rc == 0 && (attr.net & LL_NET_CONNECT) != 0)
		rc = landlock_allow_ports(ruleset, s->ports, s->n_ports);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = -errno;
	close(ruleset);
	return rc;
}

/* --- seccomp --- */

/* clang-format off */
/* What glibc, libevent, LMDB, OpenSSL, threads, libunbound and libcurl call,
 * and our own files. Not: any execve, new processes, ptrace, mounts, modules,
 * namespaces, keys, bpf, io_uring. */
static const char *const allowed[] = {
	/* descriptors and files */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
	"pwritev", "preadv2", "pwritev2", "lseek", "open", "openat", "creat",
	"close", "close_range", "dup", "dup2", "dup3", "fcntl", "flock", "stat",
	"lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access",
	"faccessat", "readlink", "readlinkat", "getdents", "getdents64",
	"getcwd", "truncate", "ftruncate", "fallocate", "fadvise64",
	"readahead", "fsync", "fdatasync", "sync_file_range", "syncfs", "sync",
	"rename", "renameat", "renameat2", "link", "linkat", "unlink",
	"unlinkat", "symlink", "symlinkat", "mkdir", "mkdirat", "rmdir",
	"chmod", "fchmod", "fchmodat", "umask", "utimensat", "copy_file_range",
	"sendfile", "splice", "tee", "pipe", "pipe2", "eventfd", "eventfd2",
	/* memory */
	"brk", "munmap", "mremap", "madvise", "msync", "mincore", "mlock",
	"mlock2", "munlock",
	/* threads and time */
	"futex", "set_robust_list", "get_robust_list", "set_tid_address",
	"rseq", "membarrier", "gettid", "sched_yield", "sched_getaffinity",
	"sched_setaffinity", "sched_getparam", "sched_getscheduler", "exit",
	"exit_group", "tgkill", "restart_syscall", "nanosleep",
	"clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday",
	"time", "times", "timerfd_create", "timerfd_settime",
	"timerfd_gettime", "getitimer", "setitimer", "alarm",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
	"rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "signalfd4",
	/* waiting */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "poll", "ppoll", "select", "pselect6",
	/* the network */
	"connect", "bind", "listen", "accept", "accept4", "getsockname",
	"getpeername", "getsockopt", "setsockopt", "shutdown", "sendto",
	"sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
	/* who and how much */
	"getpid", "getppid", "getpgrp", "getpgid", "getuid", "geteuid",
	"getgid", "getegid", "getgroups", "getresuid", "getresgid",
	"getrlimit", "setrlimit", "prlimit64", "getrusage", "sysinfo", "uname",
	"getrandom", "getcpu", "getpriority", "capget",
};
/* clang-format on */

/* libraries try these first and fall back only when they seem not to exist */
static const char *const absent[] = { "clone3", "openat2", "faccessat2",
	"fchmodat2", "epoll_pwait2", "futex_waitv", "pidfd_open",
	"io_uring_setup" };

/* What LeakSanitizer does at exit: look at the process from a clone. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifdef SANDBOX_SANITIZED
static const char *const sanitizer[] = { "clone", "ptrace", "wait4", "kill",
	"prctl", "personality", "process_vm_readv", "mmap", "mprotect" };
#endif

static int
add_names(
    scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
	int nr, rc;

	for (size_t i = 0; i < n; i++) {
		nr = seccomp_syscall_resolve_name(names[i]);
		if (nr == __NR_SCMP_ERROR)
			continue; /* newer than the library */
		rc = seccomp_rule_add(f, action, nr, 0);
		/* -EEXIST: as the default; -EDOM: another architecture's. */
		if (rc != 0 && rc != -EEXIST && rc != -EDOM)
			return rc;
	}
	return 0;
}

static int
allow_if(scmp_filter_ctx f, int nr, struct scmp_arg_cmp cmp)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 1, cmp);
}

/* Sockets of TCP, no others of that family. */
static int
allow_stream(scmp_filter_ctx f, int family)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0),
	    SCMP_A1(SCMP_CMP_MASKED_EQ, (scmp_datum_t)0xff, SOCK_STREAM));
}

/* Memory that is written is never run: a page is W or X. */
static int
add_memory(scmp_filter_ctx f)
{
	const scmp_datum_t wx = PROT_WRITE | PROT_EXEC;
	const scmp_datum_t ok[] = { 0, PROT_WRITE, PROT_EXEC };
	int rc = 0;

	for (size_t i = 0; i < 3 && rc == 0; i++)
		rc = allow_if(
		    f, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, wx, ok[i]));
	if (rc == 0)
		rc = allow_if(f, SCMP_SYS(mprotect),
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return rc;
}

/* Threads but no processes, sockets of the families that mail needs, and the
 * harmless parts of the two calls that are a hundred. */
static int
add_arguments(scmp_filter_ctx f, const struct sandbox *s)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6,
		AF_NETLINK /* glibc's resolver */ };
	size_t n_families = s->connects_out ? 4 : 1;
	static const unsigned long ioctls[] = { FIONREAD, FIONBIO, FIOCLEX,
		TCGETS, TIOCGWINSZ };
	static const int prctls[] = { PR_SET_NAME, PR_GET_NAME,
		PR_SET_PDEATHSIG, 0x53564d41 /* PR_SET_VMA, of malloc */ };
	const scmp_datum_t thread = CLONE_THREAD;
	int rc = add_memory(f);

	if (rc == 0)
		rc = allow_if(f, SCMP_SYS(clone),
		    SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
	for (size_t i = 0; i < n_families && rc == 0; i++)
		rc = allow_if(f, SCMP_SYS(socket),
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	for (size_t i = 1; i < 3 && s->n_ports > 0 && !s->connects_out; i++)
		if (rc == 0)
			rc = allow_stream(f, families[i]);
	if (rc == 0)
		rc = allow_if(
		    f, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	for (size_t i = 0; i < 5 && rc == 0; i++)
		rc = allow_if(
		    f, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0));
	for (size_t i = 0; i < 4 && rc == 0; i++)
		rc = allow_if(f, SCMP_SYS(prctl),
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)prctls[i], 0));
	return rc;
}

#define ADD(f, action, names)                                                  \
	add_names(f, action, names, sizeof(names) / sizeof((names)[0]))

static int
seccomp_enter(const struct sandbox *s)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	/* A tree, not a list of 200 comparisons; older libraries refuse. */
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	rc = ADD(f, SCMP_ACT_ALLOW, allowed);
	if (rc == 0)
		rc = ADD(f, SCMP_ACT_ERRNO(ENOSYS), absent);
	if (rc == 0)
		rc = add_arguments(f, s);
#ifdef SANDBOX_SANITIZED
	if (rc == 0)
		rc = ADD(f, SCMP_ACT_ALLOW, sanitizer);
#endif
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc;
}

int
sandbox_enter(const struct sandbox *s)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
		rc = -errno;
		log_error("sandbox", "no_new_privs error=%s", strerror(-rc));
		return rc;
	}
	if ((rc = landlock_enter(s)) != 0) {
		log_error("sandbox", "landlock error=%s", strerror(-rc));
		return rc;
	}
	if ((rc = seccomp_enter(s)) != 0)
		log_error("sandbox", "seccomp error=%s", strerror(-rc));
	return rc;
}
