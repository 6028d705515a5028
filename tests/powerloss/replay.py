"""What a power failure leaves of a tree of files.

Reads the journal of layer.c and the tree as it was before (all of which is durable), and builds the tree that is on
disk after the power failed: what completed syncs cover, and of the rest nothing ("lose") or a random part ("random").

The model of a file system, stricter than most: data of a file is durable once that file was synced; a name is durable
once its directory was synced; a rename is one step, durable once the directory of the new name was synced. In the random
mode data that was not synced survives page by page, names survive either up to a point in time (as in a journal) or each
for itself.
"""

import mmap
import os
import random
import shutil
import stat
import struct
from collections import Counter

WRITE, TRUNCATE, ALLOCATE, CREATE, MKDIR, UNLINK, RENAME, LINK, SYNC, SYNC_ALL, FAULT, SYMLINK = range(1, 13)
NAMES = dict(enumerate("write truncate allocate create mkdir unlink rename link sync sync_all fault symlink".split(), 1))
MAGIC = 0x50574C31
ENTRY = struct.Struct("<IIQQQQQII")
PAGE = 4096


class File:
    def __init__(self, path=None, target=None):
        self.path = path  # of its content before the run
        self.target = target  # of a symbolic link
        self.changes = []  # (position, kind, offset, length, position of the data)
        self.synced = 0  # changes before this position of the journal are durable


class Directory:
    def __init__(self):
        self.entries = {}
        self.synced = 0


class Journal:
    """The tree before, and everything that happened to it. Made before the run: `shadow` becomes a copy of the tree."""

    def __init__(self, root, path, shadow):
        copy(root, shadow)
        self.objects = {}  # by inode number, as of the point reached in the journal
        self.names = []  # (position, kind, directory, name, directory2, name2, object)
        self.counts = Counter()
        self.faults = []
        self.everything = []
        self.synced_all = 0
        self.path = path
        self.top = self._directory(root, shadow)

    def _directory(self, path, shadow):
        directory = Directory()
        self.everything.append(directory)
        self.objects[os.stat(path).st_ino] = directory
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                directory.entries[entry.name] = self._directory(entry.path, os.path.join(shadow, entry.name))
            elif stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
                os.unlink(entry.path)  # of a process that is no more
            else:
                inode = entry.stat(follow_symlinks=False).st_ino
                if inode not in self.objects:
                    self.objects[inode] = File(os.path.join(shadow, entry.name))
                    self.everything.append(self.objects[inode])
                directory.entries[entry.name] = self.objects[inode]
        return directory

    def read(self):
        size = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        if size == 0:
            return self
        with open(self.path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        at = 0
        while at + ENTRY.size <= size:
            magic, op, inode, parent, parent2, offset, length, name_length, name2_length = ENTRY.unpack_from(data, at)
            if magic != MAGIC:
                raise RuntimeError(f"{self.path}: no entry at {at}")
            body = at + ENTRY.size
            end = body + name_length + name2_length + (length if op == WRITE else 0)
            if end > size:
                break  # killed while writing it
            name = os.fsdecode(data[body : body + name_length])
            name2 = os.fsdecode(data[body + name_length : body + name_length + name2_length])
            self._entry(at, op, inode, parent, parent2, offset, length, name, name2, body)
            at = end
        data.close()
        return self

    def _entry(self, at, op, inode, parent, parent2, offset, length, name, name2, body):
        self.counts[NAMES[op]] += 1
        if op in (WRITE, TRUNCATE, ALLOCATE):
            self._object(inode).changes.append((at, op, offset, length, body))
        elif op in (CREATE, MKDIR, SYMLINK):
            made = File() if op == CREATE else Directory() if op == MKDIR else File(target=name2)
            self.everything.append(made)
            self.objects[inode] = made
            self.names.append((at, op, self.objects[parent], name, None, None, made))
        elif op in (UNLINK, LINK):
            self.names.append((at, op, self.objects[parent], name, None, None, self._object(inode)))
        elif op == RENAME:
            named = self._object(inode)
            self.names.append((at, op, self.objects[parent], name, self.objects[parent2], name2, named))
        elif op == SYNC:
            named = self._object(inode)
            named.synced = max(named.synced, offset)
        elif op == SYNC_ALL:
            for named in self.everything:
                named.synced = max(named.synced, offset)
        elif op == FAULT:
            self.faults.append(f"{name}: {name2}")

    def _object(self, inode):
        if inode not in self.objects:  # a file without a name (O_TMPFILE)
            self.objects[inode] = File()
            self.everything.append(self.objects[inode])
        return self.objects[inode]

    def _surviving_names(self, mode, chance):
        pending = []
        for change in self.names:
            at, op, directory, _, directory2, _, _ = change
            deciding = directory2 if op == RENAME else directory
            pending.append(at >= deciding.synced)
        if mode == "lose":
            return [change for change, open_ in zip(self.names, pending) if not open_]
        if chance.random() < 0.5:  # a journal: everything up to some point
            points = [change[0] for change, open_ in zip(self.names, pending) if open_]
            until = chance.choice(points + [1 << 62]) if points else 0
            return [change for change, open_ in zip(self.names, pending) if not open_ or change[0] < until]
        return [change for change, open_ in zip(self.names, pending) if not open_ or chance.random() < 0.5]

    def build(self, target, mode, seed):
        """Builds the tree after the failure at `target`; consumes the shadow. Returns what was lost."""
        chance = random.Random(seed)
        lost = Counter()
        survivors = self._surviving_names(mode, chance)
        lost["names"] = len(self.names) - len(survivors)
        for _, op, directory, name, directory2, name2, named in survivors:
            if op in (CREATE, MKDIR, LINK, SYMLINK):
                directory.entries[name] = named
            elif op == UNLINK and directory.entries.get(name) is named:
                del directory.entries[name]
            elif op == RENAME:
                if directory.entries.get(name) is named:
                    del directory.entries[name]
                directory2.entries[name2] = named
        self.placed = {}
        data = b""
        if os.path.exists(self.path) and os.path.getsize(self.path):
            with open(self.path, "rb") as file:
                data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self._place(self.top, target, mode, chance, data, lost, set())
        return lost

    def _place(self, directory, path, mode, chance, data, lost, above):
        os.mkdir(path)
        for name, named in directory.entries.items():
            place = os.path.join(path, name)
            if isinstance(named, Directory):
                if id(named) not in above:
                    self._place(named, place, mode, chance, data, lost, above | {id(directory)})
            elif id(named) in self.placed:
                os.link(self.placed[id(named)], place)
            else:
                self.placed[id(named)] = place
                if named.target is not None:
                    os.symlink(named.target, place)
                elif named.path:
                    os.rename(named.path, place)
                else:
                    open(place, "wb").close()
                self._apply(named, place, mode, chance, data, lost)

    def _apply(self, file, place, mode, chance, data, lost):
        if not file.changes:
            return
        survival = chance.choice([0.1, 0.5, 0.9])
        fd = os.open(place, os.O_RDWR)
        for at, op, offset, length, body in file.changes:
            durable = at < file.synced
            if not durable and mode == "lose":
                lost["changes"] += 1
            elif op == WRITE and durable:
                os.pwrite(fd, data[body : body + length], offset)
            elif op == WRITE:
                self._pages(fd, offset, length, data, body, chance, survival, lost)
            elif durable or chance.random() < survival:
                if op == TRUNCATE:
                    os.ftruncate(fd, offset)
                elif os.fstat(fd).st_size < offset + length:
                    os.ftruncate(fd, offset + length)
            else:
                lost["changes"] += 1
        os.close(fd)

    @staticmethod
    def _pages(fd, offset, length, data, body, chance, survival, lost):
        at = offset
        while at < offset + length:
            end = min((at // PAGE + 1) * PAGE, offset + length)
            if chance.random() < survival:
                os.pwrite(fd, data[body + at - offset : body + end - offset], at)
            else:
                lost["pages"] += 1
            at = end


def copy(source, target):
    """Copies a tree, holes included."""
    if os.path.exists(target):
        shutil.rmtree(target)
    if os.spawnlp(os.P_WAIT, "cp", "cp", "-a", "--sparse=always", source, target) != 0:
        raise RuntimeError(f"cannot copy {source}")
