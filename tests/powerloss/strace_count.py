"""Counts the calls on files below a directory in the output of `strace -f -y`."""

import re
from collections import Counter

GROUPS = {
    "write": ["write", "pwrite64", "writev", "pwritev", "pwritev2"],
    "sync": ["fsync", "fdatasync"],
    "size": ["ftruncate", "fallocate"],
    "rename": ["rename", "renameat", "renameat2"],
    "link": ["link", "linkat"],
    "unlink": ["unlink", "unlinkat", "rmdir"],
    "mkdir": ["mkdir", "mkdirat"],
    # What the layer does not see or does not model: must not happen at all.
    "unseen": ["sendfile", "copy_file_range", "splice", "io_uring_enter", "truncate", "msync"],
}
CALLS = ",".join(name for names in GROUPS.values() for name in names if name != "io_uring_enter") + ",io_uring_enter"
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}

CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$")


def calls(path):
    """(thread, name, arguments, result, line at which it began, line at which it ended) of every call that came back."""
    begun = {}
    with open(path, errors="replace") as lines:
        for number, line in enumerate(lines):
            line = line.rstrip("\n")
            match = RESUMED.match(line)
            if match:
                thread, name, rest = match.groups()
                arguments, start = begun.pop(thread, ("", number))
                whole = arguments + rest
            else:
                match = CALL.match(line)
                if not match:
                    continue
                thread, name, whole = match.groups()
                start = number
                if whole.endswith("<unfinished ...>"):
                    begun[thread] = (whole[: -len("<unfinished ...>")], number)
                    continue
            arguments, separator, result = whole.rpartition(" = ")
            if separator:
                yield thread, name, arguments, result, start, number


def count(path, root):
    """Successful calls by group."""
    seen = Counter()
    for _, name, arguments, result, _, _ in calls(path):
        group = GROUP_OF.get(name)
        if group and not result.startswith("-1") and not result.startswith("?") and root in arguments:
            seen[group] += 1
    return seen


def compare(seen, journal):
    """Compares with the journal of the layer. A call may have been killed between itself and its entry."""
    ours = {
        "write": journal["write"],
        "sync": journal["sync"],
        "size": journal["truncate"] + journal["allocate"],
        "rename": journal["rename"],
        "link": journal["link"],
        "unlink": journal["unlink"],
        "mkdir": journal["mkdir"],
        "unseen": 0,
    }
    slack = 16  # one for each thread that was killed
    wrong = {group: (seen[group], ours[group]) for group in ours if not 0 <= seen[group] - ours[group] <= (slack if group in ("write", "sync") else 2)}
    if wrong or not seen["write"] or not seen["sync"]:
        raise SystemExit(f"strace and the layer disagree (strace, layer): {wrong or dict(seen)}")
    return ", ".join(f"{group} {seen[group]}/{ours[group]}" for group in ours)
