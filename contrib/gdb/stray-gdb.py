"""Goroutines of stray in gdb: `info goroutines`, `goroutine N COMMAND`, `goroutine all COMMAND`. docs/gdb.md shows them.

1. Nothing is written to the process, no function of it is called: live processes and core files are the same to it.
2. A goroutine's stack is shown below frame 0 of the selected thread: while a command runs there, an unwinder says that the caller of frame 0
   is what the goroutine's record has saved. Writing the registers instead, as Go's script does, is impossible on a core file.
3. It reads the fields of stray::runtime::task by their names, from the debug information; no offset stands here.
4. As in all texts of stray, lines of the library at both ends of a stack are not shown; `goroutine N bt -no-filters` shows them.

Needs gdb 12 or later with Python, stray built with -g, x86-64.
"""
import re
import struct
import time

import gdb
import gdb.unwinder

RUNTIME = "stray::runtime::"
SLAB = f"{RUNTIME}(anonymous namespace)::task_slab"
SCHEDULER = f"{RUNTIME}(anonymous namespace)::the_scheduler"
REASONS = f"{RUNTIME}text_of({RUNTIME}wait_reason)::table"
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")  # struct saved_frame
INVOKE = re.compile(r"std::(__1::)?(__invoke|invoke|apply\b|__apply|function\b|_Function_handler|_Bind|__function::|reference_wrapper)")
STATE_MASK = 0x1f  # of the state word, src/runtime/task.h
WAITS, RESUMES = ("waiting",), ("claimed", "runnable")
EARLY = ("parking", "claimed_early", "runnable_early")  # sp is not saved yet


def symbol(name):
    return gdb.parse_and_eval(f"&'{name}'").dereference()


def number_in(value):
    """Of an atomic, too: its layout is that of its value, in every standard library."""
    size = value.type.sizeof
    return int.from_bytes(gdb.selected_inferior().read_memory(int(value.address), size), "little")


def enumerators(name):
    return {field.enumval: field.name.rpartition("::")[2] for field in gdb.lookup_type(RUNTIME + name).fields()}


class Task:
    """A record in the slab of tasks."""

    def __init__(self, runtime, at, record):
        self.at, self.runtime = at, runtime
        for name, (offset, size) in runtime.fields.items():
            setattr(self, name, int.from_bytes(record[offset:offset + size], "little"))
        self.state = runtime.states.get(self.word & STATE_MASK, "free")

    def context(self):
        """Registers of a goroutine that does not run; a text instead when there are none."""
        if self.state == "running" or self.state in EARLY:
            return f"goroutine {self.id} is running on {self.thread_text()}: look at that thread"
        if self.state == "init" or self.stack_lo == 0:
            return f"goroutine {self.id} has not run yet: it has no stack"
        saved = struct.unpack("<7Q", gdb.selected_inferior().read_memory(self.sp, 8 * len(SAVED)))
        return dict(zip(SAVED, saved), rsp=self.sp + 8 * len(SAVED))

    def thread_text(self):
        tid = self.runtime.tid_running(self.at)
        for thread in gdb.selected_inferior().threads():
            if tid and thread.ptid[1] == tid:
                return f"thread {thread.num} (LWP {tid})"
        return "a thread that is switching"

    def state_text(self):
        if self.state in WAITS:
            return self.runtime.reasons[self.reason]
        if self.state in RESUMES or self.state == "init":
            return "runnable"
        return f"running on {self.thread_text()}"

    def age_text(self):
        if self.state not in WAITS or self.runtime.now_ns is None:
            return ""
        ms = max(0, self.runtime.now_ns - self.wait_since_ns) // 1_000_000
        if ms < 1000:
            return f", {ms} ms"
        return f", {ms // 1000} s" if ms < 120_000 else f", {ms // 60_000} minutes"

    def name_text(self):
        """Its label "name", which is what go was told."""
        if self.labels == 0 or self.state not in WAITS:  # of one that runs they may change
            return ""
        read, kind = gdb.selected_inferior().read_memory, gdb.lookup_type(RUNTIME + "label_list")
        begin = {field.name: self.labels + field.bitpos // 8 for field in kind.fields() if hasattr(field, "bitpos")}
        count, = struct.unpack("<I", read(begin["count"], 4))
        sizes = struct.unpack(f"<{2 * count}I", read(begin["of"], 8 * count)) if count else ()
        text, at = bytes(read(begin["of"] + 8 * count, sum(sizes))) if count else b"", 0
        for key, value in zip(sizes[::2], sizes[1::2]):
            if text[at:at + key] == b"name":
                return f" ({text[at + key:at + key + value].decode(errors='replace')})"
            at += key + value
        return ""

    def header(self):
        return f"goroutine {self.id}{self.name_text()} [{self.state_text()}{self.age_text()}]"


class Runtime:
    """What is read anew for each command."""

    NAMES = ("word", "id", "sp", "stack_lo", "reason", "is_thread", "wait_since_ns", "created_by", "labels")

    def __init__(self):
        if gdb.selected_inferior().pid == 0 or gdb.selected_thread() is None:
            raise gdb.GdbError("nothing to look at: start the program, attach to a process, or load a core file")
        try:
            slab = symbol(SLAB)
            self.type = gdb.lookup_type(f"{RUNTIME}task")
        except gdb.error as error:
            raise gdb.GdbError(f"no debug information of stray in this program ({error}): it must be built with -g") from None
        offsets = {field.name: (field.bitpos // 8, field.type.sizeof) for field in self.type.fields() if hasattr(field, "bitpos")}
        self.fields = {name: offsets[name] for name in self.NAMES}
        self.states = enumerators("state")
        self.base, self.used = int(slab["where_"]["lo"]), number_in(slab["used_"])
        table = symbol(REASONS).address.cast(gdb.lookup_type("char").pointer().pointer())
        self.reasons = {value: table[value].string() for value in enumerators("wait_reason")}
        connection = gdb.selected_inferior().connection
        # Another machine's clock, or that of a process that has ended, says nothing.
        self.now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) if connection and connection.type == "native" else None
        self.workers = None

    def tasks(self):
        """Goroutines, by id."""
        size = self.type.sizeof
        found = []
        for first in range(1, self.used, 4096):
            last = min(first + 4096, self.used)
            block = bytes(gdb.selected_inferior().read_memory(self.base + first * size, (last - first) * size))
            for i in range(first, last):
                task = Task(self, self.base + i * size, block[(i - first) * size:(i - first + 1) * size])
                if task.state not in ("free", "dead") and not task.is_thread:
                    found.append(task)
        return sorted(found, key=lambda task: task.id)

    def tid_running(self, at):
        if self.workers is None:
            scheduler = symbol(SCHEDULER)
            workers = scheduler["workers"]
            self.workers = [workers[i] for i in range(number_in(scheduler["made"]))]
        for which in ("running", "previous"):  # previous: it has just left, and is not completed yet
            for worker in self.workers:
                if int(worker[which]) == at:
                    return number_in(worker["tid"])
        return None


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = gdb.Value(sp), gdb.Value(pc)


class Unwinder(gdb.unwinder.Unwinder):
    """Invariant 2. `with unwinder.at(registers):` frames beyond the thread's frame 0 are those of the registers."""

    def __init__(self):
        super().__init__("stray goroutine")
        self.registers = None
        self.thread_sp = 0

    def __call__(self, pending):
        if self.registers is None or int(pending.read_register("rsp")) != self.thread_sp:
            return None
        ulong = gdb.lookup_type("unsigned long")
        # Below the goroutine's frames, as the frame of a callee is: gdb takes anything else for a corrupt stack.
        info = pending.create_unwind_info(FrameId(self.registers["rsp"] - 64, int(pending.read_register("rip"))))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(ulong))
        return info

    def at(self, registers):
        return Borrowed(self, registers)

    def is_threads(self, frame):
        return int(frame.read_register("rsp")) == self.thread_sp


class Borrowed:
    def __init__(self, of, registers):
        self.of, self.wanted = of, registers

    def __enter__(self):
        self.level = gdb.selected_frame().level()
        gdb.newest_frame().select()
        self.of.thread_sp = int(gdb.newest_frame().read_register("rsp"))
        self.of.registers = self.wanted
        gdb.invalidate_cached_frames()
        return self

    def __exit__(self, *_):
        gdb.newest_frame().select()
        self.of.registers = None
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        for _ in range(self.level):
            frame = frame.older() or frame
        frame.select()

    def frames(self):
        """The goroutine's frames, inlined ones included."""
        frame = gdb.newest_frame()
        while frame is not None and self.of.is_threads(frame):
            frame = frame.older()
        while frame is not None:
            yield frame
            frame = frame.older()


def is_stray(frame):
    return (frame.name() or "").startswith(("stray::", "_ZN5stray"))  # the mangled one is assembly


def shown(frames, frame_of=lambda item: item):
    """Invariant 4."""
    first, last = 0, len(frames)
    while first < last and is_stray(frame_of(frames[first])):
        first += 1
    while first < last and (is_stray(frame_of(frames[last - 1])) or INVOKE.match(frame_of(frames[last - 1]).name() or "")):
        last -= 1
    return frames[first:last] or frames


class Filter:
    """Of backtraces, while one of a goroutine is shown."""

    def __init__(self, of):
        self.name, self.priority, self.enabled, self.of = "stray goroutine", 1000, True, of
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        if self.of.registers is None:
            return frames
        return iter(shown([item for item in frames if not self.of.is_threads(item.inferior_frame())],
                          lambda item: item.inferior_frame()))


def place(frame):
    sal = frame.find_sal()
    where = f" at {sal.symtab.filename}:{sal.line}" if sal.symtab else ""
    return f"{frame.name() or hex(frame.pc())}{where}"


def top(task):
    registers = task.context()
    if isinstance(registers, str):
        return ""
    with unwinder.at(registers) as borrowed:
        first = None
        for frame in borrowed.frames():
            first = first or frame
            if not is_stray(frame):
                return f" {place(frame)}"
        return f" {place(first)}" if first else ""


def creator(task):
    """Where go was called: the return address, looked at as if a frame were there, so that gdb resolves what is inlined."""
    if task.created_by == 0:
        return ""
    with unwinder.at(dict.fromkeys(SAVED, 0) | {"rip": task.created_by, "rsp": task.at}) as borrowed:
        frame = None
        for frame in borrowed.frames():
            if not is_stray(frame) or frame.type() != gdb.INLINE_FRAME:
                break
        return f", created by {place(frame)}" if frame else ""


def line(task):
    return f"{task.header()}{top(task)}{creator(task)}"


class InfoGoroutines(gdb.Command):
    """info goroutines
Lists the goroutines: id, why it waits (Go's words) and for how long, where, and who started it."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, _):
        if argument.strip():
            raise gdb.GdbError("info goroutines takes no argument")
        tasks = Runtime().tasks()
        for task in tasks:
            gdb.write(line(task) + "\n")
        if not tasks:
            gdb.write("no goroutines\n")


class Goroutine(gdb.Command):
    """goroutine N [COMMAND]
goroutine all COMMAND
Runs a gdb command on the stack of a goroutine that does not run, with its first line outside stray selected: goroutine 5 bt,
goroutine 5 info locals, goroutine all bt. Frame 0 is the selected thread's, under which the stack is shown. Alone: its line of info goroutines."""

    USAGE = "goroutine N [COMMAND], or goroutine all COMMAND; info goroutines lists them"

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        who, _, command = argument.strip().partition(" ")
        if who == "all" and command:
            for task in Runtime().tasks():
                gdb.write(f"{task.header()}\n")
                problem = self.execute(task, command, from_tty)
                gdb.write(f"{problem}\n\n" if problem else "\n")
            return
        try:
            number = int(gdb.parse_and_eval(who)) if who else None
        except gdb.error:
            number = None
        if number is None:
            raise gdb.GdbError(self.USAGE)
        task = next((task for task in Runtime().tasks() if task.id == number), None)
        if task is None:
            raise gdb.GdbError(f"there is no goroutine {number}: it has ended, or never was")
        if not command:
            gdb.write(line(task) + "\n")
        elif problem := self.execute(task, command, from_tty):
            raise gdb.GdbError(problem)

    def execute(self, task, command, from_tty):
        """Why not, or None."""
        registers = task.context()
        if isinstance(registers, str):
            return registers
        with unwinder.at(registers) as borrowed:
            frames = list(borrowed.frames())
            if not frames:
                return f"goroutine {task.id}: its stack cannot be read"
            shown(frames)[0].select()
            gdb.execute(command, from_tty)
        return None


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
Filter(unwinder)
InfoGoroutines()
Goroutine()
