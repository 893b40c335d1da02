#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit script: a verb a line, each by itself, and what is told of it."""

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

from tooltest import (DAMAGED, NO_SPACE, NOT_FOUND, REFUSED, USAGE, VHDKIT,
                      MiB, case, check, contains, content, equal, program,
                      refused, run, vhdkit)
from vhdimage import Image


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def script(text, *options, code=0, file=True):
    """Runs it, from a file or by a pipe; its steps."""
    data = text if isinstance(text, bytes) else text.encode()
    if file:
        with open("script", "wb") as out:
            out.write(data)
        done = vhdkit("script", *options, "script", code=code)
    else:
        done = vhdkit("script", *options, code=code, data=data)
    return lines(done.out)


def both(text, *options, code=0):
    """By a pipe and from a file it is the same; the files it makes are not
    looked at in between."""
    before = set(os.listdir("."))
    steps = script(text, *options, code=code, file=False)
    for name in set(os.listdir(".")) - before:
        os.remove(name)
    again = script(text, *options, code=code)
    equal([s["exit"] for s in steps], [s["exit"] for s in again])
    return again


@case("each step has its number, line, words, exit code, class and output")
def _():
    steps = both("""# a script

create --size 4M 'a b.vhd'   # one
  info --json "a b.vhd"
check a\\ b.vhd
""")
    equal([[s[key] for key in ("step", "line", "command", "exit", "class",
                               "messages")] for s in steps],
          [[1, 3, ["create", "--size", "4M", "a b.vhd"], 0, "done", []],
           [2, 4, ["info", "--json", "a b.vhd"], 0, "done", []],
           [3, 5, ["check", "a b.vhd"], 0, "done", []]])
    check("output" not in steps[0], "it printed nothing")
    equal(steps[1]["output"]["virtual-size"], 4 * MiB)
    equal(steps[2]["output"], "a b.vhd: sound\n")


@case("the first that fails ends it, and its exit code is the script's")
def _():
    text = """create --size 4M a.vhd
info none.vhd
create --size 1M a.vhd
create --size 4M b.vhd
"""
    steps = both(text, code=NOT_FOUND)
    equal([(s["exit"], s["class"]) for s in steps],
          [(0, "done"), (NOT_FOUND, "not-found")])
    contains(steps[1]["messages"][0], "none.vhd: No such file")
    check(not os.path.exists("b.vhd"), "it went on")
    os.remove("a.vhd")
    steps = both(text, "--keep-going", code=NOT_FOUND)
    equal([s["exit"] for s in steps], [0, NOT_FOUND, REFUSED, 0])
    check(os.path.exists("b.vhd"), "it did not go on")


@case("an answer that is no ends it as a failure does")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    vhdkit("create", "--size", "4M", "b.vhd")
    vhdkit("write", "b.vhd", data=b"x")
    steps = script("compare a.vhd b.vhd\nversion\n", code=1)
    equal([(s["exit"], s["class"]) for s in steps], [(1, "failed")])
    image = Image("a.vhd")
    image.header.checksum = 1
    image.save()
    equal(script("check --json a.vhd\n", code=DAMAGED)[0]["output"]["result"],
          "broken")
    # The first counts, also where a later one says more of itself.
    steps = script(b"compare a.vhd none\ncompare b.vhd none\n'\n",
                   "--keep-going", code=DAMAGED, file=False)
    equal([s["exit"] for s in steps], [DAMAGED, NOT_FOUND, USAGE])


@case("no option of one step is left for the next, nor anything of its roots")
def _():
    os.mkdir("in")
    steps = script("""create --size 4M --type fixed --full a.vhd
create --size 4M b.vhd
create --parent a.vhd --root . in/child.vhd
read --root . --offset 1M --length 512 in/child.vhd out1
read in/child.vhd out2
read --length 0 b.vhd out3
info --json --chain --root . in/child.vhd
info --json b.vhd
write b.vhd
map --json --offset 1M b.vhd
map --json b.vhd
create --overwrite --size 4M out1
create --size 4M out3
""", "--keep-going", code=7)
    equal([s["exit"] for s in steps],
          [0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, REFUSED])
    equal(steps[7]["output"]["type"], "dynamic")
    equal(steps[9]["output"][0]["start"], MiB)
    equal(steps[10]["output"][0]["start"], 0)


@case("in a file, what is no verb is found before anything is done")
def _():
    for bad, says in (("frobnicate x", "no such verb"), ("info 'a", "not clos"),
                      ("info a\\", "behind"), ("script script", "no other"),
                      ("info " + "x" * 70000, "too long"), ("a\0b", "byte 0"),
                      ("info" + " x" * 2000, "many words")):
        text = f"create --size 4M a.vhd\n\n{bad}\nversion\n"
        with open("script", "w", encoding="utf-8") as file:
            file.write(text)
        for options in ((), ("--keep-going",)):
            done = refused("script", *options, "script", code=USAGE,
                           says=["line 3", says, "nothing was done"])
            equal(done.out, "", bad)
        check(not os.path.exists("a.vhd"), bad)
        steps = script(text, code=USAGE, file=False)
        equal([(s["line"], s["exit"]) for s in steps], [(1, 0), (3, USAGE)])
        contains(steps[1]["messages"][0], says)
        os.remove("a.vhd")
        steps = script(text, "--keep-going", code=USAGE, file=False)
        equal([s["exit"] for s in steps], [0, USAGE, 0], bad)
        os.remove("a.vhd")


@case("a file as Windows writes it: a mark at its beginning, CR at the ends")
def _():
    both(b"\xef\xbb\xbfcreate --size 4M a.vhd\r\n\r\ncheck a.vhd\r\n")
    both(b"version")


@case("what is no script is an error; an empty one is done")
def _():
    refused("script", "none", code=NOT_FOUND, says="none")
    refused("script", ".", says="read")
    for text in ("", "\n", "# nothing\n"):
        equal(both(text), [])


@case("a step has no standard input: the script is not its data")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    steps = both("write a.vhd\nversion\n")
    equal(len(steps), 2)
    equal(content("a.vhd"), bytes(4 * MiB))


@case("what is printed and is no text, or too much of it, is left out")
def _():
    vhdkit("create", "--size", "40M", "a.vhd")
    steps = script("read --length 3 a.vhd\nread a.vhd\nversion\n")
    equal([s["exit"] for s in steps], [0, 0, 0])
    equal([steps[0]["output"], steps[1]["output"]], [None, None])
    contains(steps[2]["output"], "vhdkit ")


@case("by a pipe, one line is answered before the next is written")
def _():
    with subprocess.Popen([VHDKIT, "script"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        for number, line in enumerate((b"create --size 4M a.vhd\n",
                                       b"write a.vhd\n",
                                       b"check a.vhd\n"), 1):
            process.stdin.write(line)
            process.stdin.flush()
            equal(json.loads(process.stdout.readline())["step"], number)
        process.stdin.close()
        process.wait(timeout=60)
    equal(process.returncode, 0)


@case("a file that somebody has begun to read is gone on with from there")
def _():
    with open("script", "w", encoding="utf-8") as file:
        file.write("create --size 1M first.vhd\ncreate --size 1M b.vhd\n")
    with open("script", "rb", buffering=0) as file:
        file.seek(len("create --size 1M first.vhd\n"))
        done = program(VHDKIT, "script", stdin=file)
    equal([(s["line"], s["command"][-1]) for s in lines(done.out)],
          [(1, "b.vhd")])
    check(not os.path.exists("first.vhd"), "it began anew")


@case("where its lines cannot be written, no further step is begun")
def _():
    with open("script", "w", encoding="utf-8") as file:
        file.write("".join(f"create --size 1M {n}.vhd\n" for n in range(3)))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [VHDKIT, "script", "--keep-going", "script"], stdout=full,
            stderr=subprocess.PIPE, timeout=60, check=False)
    equal(done.returncode, NO_SPACE)
    contains(done.stderr.decode(), "cannot write the output, behind line 1: No")
    equal(sorted(os.listdir()), ["0.vhd", "script"], "what there is")
    os.remove("0.vhd")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([VHDKIT, "script", "script"], stdout=writer,
                          timeout=60, check=False)
    os.close(writer)
    equal(done.returncode, -signal.SIGPIPE)
    equal(sorted(os.listdir()), ["0.vhd", "script"], "what there is")


@case("a step says what is wrong to a terminal that stops the background")
def _():
    with open("script", "w", encoding="utf-8") as file:
        file.write("info none.vhd\n")
    pid, terminal = pty.fork()
    if pid == 0:
        mode = termios.tcgetattr(2)
        mode[3] |= termios.TOSTOP
        termios.tcsetattr(2, termios.TCSANOW, mode)
        os.execvp(VHDKIT, [VHDKIT, "script", "script"])
    out = b""
    try:
        while select.select([terminal], [], [], 30)[0]:
            out += os.read(terminal, 4096)
    except OSError:
        pass  # its end
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    contains(out.decode(), "none.vhd: No such file")
    contains(out.decode(), '"class":"not-found"')


def slow_script():
    """A step that takes until it is told to end, and one behind it."""
    os.mkfifo("slow")
    vhdkit("create", "--size", "64M", "a.vhd")
    with open("script", "w", encoding="utf-8") as file:
        file.write("write --progress=json a.vhd slow\n"
                   "create --size 1M b.vhd\n")


def begun(process, fifo):
    """Waits until the step writes."""
    fifo.write(b"x" * MiB)
    fifo.flush()
    return process.stderr.readline()


@case("interrupted: the step ends in order, none is begun, death by the signal")
def _():
    slow_script()
    for sig in (signal.SIGINT, signal.SIGTERM):
        for options in ((), ("--keep-going",)):
            with subprocess.Popen(
                    [VHDKIT, "script", *options, "script"],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    start_new_session=True) as process, \
                    open("slow", "wb") as fifo:
                begun(process, fifo)
                # As a terminal would, to the whole group.
                os.killpg(process.pid, sig)
                out, _ = process.communicate(timeout=60)
            equal(process.returncode, -sig)
            steps = lines(out.decode())
            equal([(s["exit"], s["class"]) for s in steps],
                  [(128 + sig, "interrupted")])
            contains(steps[0]["messages"][0], "interrupted")
            check(not os.path.exists("b.vhd"), "another step was begun")
            vhdkit("check", "a.vhd")


@case("waiting for a line it can be interrupted too")
def _():
    with subprocess.Popen([VHDKIT, "script"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write(b"version\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    equal(process.returncode, -signal.SIGTERM)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(number) for number in file.read().split()]


@case("a step that is killed is told of, and the script is not hurt")
def _():
    slow_script()
    with subprocess.Popen([VHDKIT, "script", "--keep-going", "script"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE
                          ) as process, open("slow", "wb") as fifo:
        begun(process, fifo)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    equal(process.returncode, 128 + signal.SIGKILL)
    equal([(s["exit"], s["class"]) for s in lines(out.decode())],
          [(128 + signal.SIGKILL, "failed"), (0, "done")])
    contains(err.decode(), "signal 9")


@case("where the script is killed, its step ends in order")
def _():
    slow_script()
    with subprocess.Popen([VHDKIT, "script", "script"],
                          stderr=subprocess.PIPE) as process, \
            open("slow", "wb") as fifo:
        begun(process, fifo)
        step = children(process.pid)[0]
        process.kill()
        process.wait(timeout=60)
        # It looks between its pieces, and this one lets it go on.
        until = time.monotonic() + 60
        while os.path.exists(f"/proc/{step}"):
            check(time.monotonic() < until, "the step is still there")
            time.sleep(0.05)
    vhdkit("check", "a.vhd")
    check(not os.path.exists("b.vhd"), "another step was begun")


run()
