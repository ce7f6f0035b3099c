"""The seccomp system-call filter of the sandbox.

It denies what namespaces and resource limits do not prevent:

- memory that is not part of any process's resident size (memfd, shared anonymous mappings,
  System V shared memory, pages pinned in pipes by vmsplice),
- further namespaces and mounts, and sockets of all families except unix (vsock reaches the host
  of a virtual machine; the network namespace has no network anyway),
- access to other processes, and changes of their limits or scheduling,
- queries of the page cache, and locks and watches on shared files: a program could use them to
  pass information to another program,
- resources that all processes of a user or of the machine share (inotify, aio, pipe sizes),
- new sessions: the scheduler may give every session an equal share of the machine,
- rarely used kernel interfaces.
"""

import errno
import platform
import struct

from codewatt.errors import CodewattError

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_NONE = -1  # the architecture has no such call

# name: (number on x86_64, number on aarch64)
_DENIED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    "quotactl": (179, 60),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "vmsplice": (278, 75),
    "modify_ldt": (154, _NONE),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "process_madvise": (440, 440),
    "mincore": (27, 232),
    "cachestat": (451, 451),
    "fadvise64": (221, 223),
    "readahead": (187, 213),
    "flock": (73, 32),
    "inotify_init": (253, _NONE),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "setsid": (112, 157),
}
_CLONE = (56, 220)
# ENOSYS: the C library then uses the older call. A filter cannot read the flags of clone3, which
# are in memory; preadv2 can tell whether a file is in the page cache.
_ABSENT = {"clone3": (435, 435), "preadv2": (327, 286)}
_MMAP = (9, 222)
_PRCTL = (157, 167)
_PR_SET_DUMPABLE, _PR_SCHED_CORE = 4, 62
_SOCKET = (41, 198)

# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NAMESPACE_FLAGS = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x70000000
_AF_UNIX = 1
_AF_NETLINK, _NETLINK_ROUTE = 16, 0
_NETWORK_FAMILIES = (2, 10, _AF_NETLINK)  # AF_INET, AF_INET6
_UNIT_TEST_CALLS = frozenset({"flock"})
_UNIT_TEST_VALUES = frozenset({5, 36})  # of fcntl: F_GETLK, F_OFD_GETLK; SQLite's WAL mode needs it
_MAP_SHARED_BIT, _MAP_ANONYMOUS, _MAP_HUGETLB = 0x01, 0x20, 0x40000

# Calls that are denied for some values of an argument: (numbers, argument, values).
_DENIED_VALUES = (
    ((28, 233), 2, (20, 21)),  # madvise: MADV_COLD, MADV_PAGEOUT
    # fcntl: F_GETLK, F_SETOWN, F_SETSIG, F_SETOWN_EX, F_OFD_GETLK, F_SETLEASE, F_NOTIFY,
    # F_SETPIPE_SZ
    ((72, 25), 1, (5, 8, 10, 15, 36, 1024, 1026, 1031)),
)
# Calls that are allowed for the calling process (ID 0) only: (numbers, arguments).
_OWN_ONLY = (
    ((302, 261), (0,)),  # prlimit64
    ((203, 122), (0,)),  # sched_setaffinity
    ((141, 140), (0, 1)),  # setpriority: PRIO_PROCESS is 0 as well
)
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_BYTES = 0, 4, 16, 8  # in struct seccomp_data
_DENY = (_RETURN, 0, 0, _ERRNO | errno.EPERM)

Instruction = tuple[int, int, int, int]


def seccomp_filter(machine: str | None = None, unit_tests: bool = False) -> bytes:
    """The filter as a classic BPF program, in the form that `bwrap --seccomp` reads.

    Args:
        machine: architecture as in `platform.machine()`; None for this machine.
        unit_tests: whether the program may use what unit tests need: sockets of the internet
            families (in a network namespace with one loopback interface) and locks on files.

    Raises:
        CodewattError: the architecture is not supported.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        raise CodewattError(
            f"sandbox: no system-call filter for {machine}; supported architectures: "
            + " and ".join(_AUDIT_ARCH)
        )
    column = list(_AUDIT_ARCH).index(machine)
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    allowed = _UNIT_TEST_CALLS if unit_tests else frozenset()
    for numbers in (numbers for name, numbers in _DENIED.items() if name not in allowed):
        program += _on_call(numbers[column], [_DENY])
    for numbers in _ABSENT.values():
        program += _on_call(numbers[column], [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    for numbers, argument, values in _DENIED_VALUES:
        free = _UNIT_TEST_VALUES if unit_tests else frozenset()
        denied = tuple(value for value in values if value not in free)
        program += _on_call(numbers[column], _unless(argument, _EQUAL, denied))
    for numbers, arguments in _OWN_ONLY:
        checks = [check for argument in arguments for check in _only_zero(argument)]
        program += _on_call(numbers[column], [*checks, (_RETURN, 0, 0, _ALLOW)])
    program += _on_call(_CLONE[column], _unless(0, _ANY_BIT, (_NAMESPACE_FLAGS,)))
    program += _on_call(_MMAP[column], _no_uncounted_mapping())
    program += _on_call(_PRCTL[column], _not_dumpable_again())
    families = (_AF_UNIX, *_NETWORK_FAMILIES) if unit_tests else (_AF_UNIX,)
    program += _on_call(_SOCKET[column], _only_families(families))
    program += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _on_call(number: int, body: list[Instruction]) -> list[Instruction]:
    """Instructions for one system call; the body must return on every path."""
    return [] if number == _NONE else [(_EQUAL, 0, len(body), number), *body]


def _load(argument: int) -> Instruction:
    """Load the lower 32 bits of an argument: the kernel reads no more of an int."""
    return (_LOAD, 0, 0, _ARGUMENT_0 + _ARGUMENT_BYTES * argument)


def _unless(argument: int, test: int, values: tuple[int, ...]) -> list[Instruction]:
    """Deny the call if a test of the argument is true for one of the values."""
    body = [_load(argument)]
    for value in values:
        body += [(test, 0, 1, value), _DENY]
    return [*body, (_RETURN, 0, 0, _ALLOW)]


def _only_zero(argument: int) -> list[Instruction]:
    return [_load(argument), (_EQUAL, 1, 0, 0), _DENY]


def _only_families(families: tuple[int, ...]) -> list[Instruction]:
    """Deny sockets of all other families.

    Of netlink only the list of interfaces is allowed: through NETLINK_USERSOCK, sockets of one
    program could buffer tens of GB that no limit counts, and other protocols reach rarely used
    parts of the kernel.
    """
    body = [_load(0)]
    for family in families:
        if family == _AF_NETLINK:
            protocol = [_load(2), (_EQUAL, 0, 1, _NETLINK_ROUTE), (_RETURN, 0, 0, _ALLOW)]
            body += [(_EQUAL, 0, len(protocol), family), *protocol, _load(0)]
        else:
            body += [(_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW)]
    return [*body, (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT)]


def _no_uncounted_mapping() -> list[Instruction]:
    """Deny huge pages of a pool, and anonymous shared mappings (MAP_SHARED, SHARED_VALIDATE).

    Their pages stay allocated after MADV_DONTNEED, and are then part of no process's resident
    size.
    """
    return [
        _load(3),
        (_ANY_BIT, 0, 1, _MAP_HUGETLB),
        _DENY,
        (_ANY_BIT, 0, 2, _MAP_ANONYMOUS),
        (_ANY_BIT, 0, 1, _MAP_SHARED_BIT),
        _DENY,
        (_RETURN, 0, 0, _ALLOW),
    ]


def _not_dumpable_again() -> list[Instruction]:
    """Deny PR_SET_DUMPABLE except with 0, and PR_SCHED_CORE, which reserves a core."""
    return [
        _load(0),
        (_EQUAL, 0, 1, _PR_SCHED_CORE),
        _DENY,
        (_EQUAL, 0, 3, _PR_SET_DUMPABLE),
        _load(1),
        (_EQUAL, 1, 0, 0),
        _DENY,
        (_RETURN, 0, 0, _ALLOW),
    ]
