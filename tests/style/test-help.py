#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a program says with --help, what its manual page lists and what the
shell completes is the same.

Options are those that --help names and those in the =item lines of the page.
The tool has a --help and a page of its own for each verb.
"""

import glob
import os
import re
import shutil
import subprocess

from tap import Tap

SRCDIR = os.environ["SRCDIR"]
# What vhdkitd's configuration file has no setting for, or says in an export.
LINE_ONLY = ("check-config", "config", "description", "fd", "help", "raw",
             "tls-only", "version")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def read(path):
    with open(os.path.join(SRCDIR, path), encoding="utf-8") as file:
        return file.read()


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def page_options(text):
    found = set()
    for line in re.findall(r"^=item .*$", text, flags=re.M):
        found |= set(OPTION.findall(line))
    return found


def page_settings(text):
    """The names in the =item lines below Options."""
    return {"--" + name
            for line in re.findall(r"^=item (.*)$", text.partition(
                "=head2 Options")[2], flags=re.M)
            for name in re.findall(r"B<([a-z-]+)>", line)}


def difference(one, one_name, other, other_name):
    for name in sorted(one - other):
        yield f"{name} is in {one_name}, not in {other_name}"
    for name in sorted(other - one):
        yield f"{name} is in {other_name}, not in {one_name}"


def check_common(tap, name, command):
    """--help and --version go to standard output and succeed; an unknown
    option fails and points to the help."""
    status, out, err = run(*command, "--help")
    faults = []
    if status != 0 or err:
        faults.append(f"{name} --help: status {status}, said {err!r}")
    if not out.startswith("usage: " + name):
        faults.append(f"{name} --help does not begin with 'usage: {name}'")
    status, version, err = run(*command, "--version")
    if status != 0 or not re.match(name + r" \d+\.\d+\.\d+\n", version):
        faults.append(f"{name} --version: status {status}, said {version!r}")
    status, unknown, err = run(*command, "--no-such-option")
    if status == 0 or unknown or "help" not in err:
        faults.append(f"{name} --no-such-option: status {status}, "
                      f"said {unknown + err!r}")
    tap.case(f"{name} knows --help and --version, and refuses other options",
             faults)
    return out


def completed(script, *words):
    """What bash would complete the last of words to."""
    program = ('source "$1"; shift; COMP_WORDS=("$@"); '
               'COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
               'fn=$(complete -p "$1"); fn=${fn#*-F }; ${fn%% *} '
               '"$1" "${@: -1}" "${@: -2:1}"; '
               'printf "%s\\n" "${COMPREPLY[@]}"')
    status, out, err = run("bash", "-c", program, "bash",
                           os.path.join(SRCDIR, script), *words)
    if status != 0 or err:
        return {f"(bash: {err.strip()})"}
    return {word.rstrip(" =") for word in out.split()}


# What a completion function of zsh calls to offer words, and what it is told.
ZSH = """
compadd() { shift; for word; do [[ $word != $cur* ]] || print -- $word; done }
compset() { PREFIX=${cur} }
_files() { print -l -- ${1:-files} }
_users() { print users }
_groups() { print groups }
file=$1; shift
words=("$@"); CURRENT=$#
source $file
"""


def completed_by_zsh(program, *words):
    """The same of zsh, by the file that the build has made of bash's."""
    made = os.path.join(os.environ["BUILDDIR"], "contrib", "completions",
                        f"_{program}")
    status, out, err = run("zsh", "-fc", ZSH, "zsh", made, program, *words)
    if status != 0 or err:
        return {f"(zsh: {err.strip()})"}
    return set(out.split())


def check_zsh(tap):
    """It completes to what bash does, everywhere."""
    if not shutil.which("zsh"):
        tap.skip("zsh completes as bash does", "package zsh is not installed")
        return
    faults, count = [], 0
    places = [("vhdkitd", "--"), ("vhdkitd", "--io", ""), ("vhdkit", "")]
    verbs = completed("contrib/completions/vhdkit", "vhdkit", "")
    for verb in sorted(v for v in verbs if not v.startswith("-")):
        places += [("vhdkit", verb, "--")]
    for verb in sorted(completed("contrib/completions/vhdkitctl", "vhdkitctl",
                                 "")):
        places += [("vhdkitctl", verb, "--")]
    for option in ("--format", "--type", "--subformat", "--progress", "--with"):
        places += [("vhdkit", "create", option, "")]
    for program, *words in places:
        bash = completed(f"contrib/completions/{program}", program, *words)
        zsh = completed_by_zsh(program, *words)
        count += len(bash)
        faults += [f"{program} {' '.join(words)}: {line}" for line in
                   difference(bash, "bash", zsh, "zsh")]
    for program, words, wanted in (
            ("vhdkit", ("create", "--type=f"), "fixed"),
            ("vhdkit", ("info", ""), "files"),
            ("vhdkit", ("info", "--root", ""), "-/"),
            ("vhdkitd", ("--root", ""), "-/"),
            ("vhdkitd", ("--user", ""), "users")):
        if wanted not in completed_by_zsh(program, *words):
            faults.append(f"{program} {' '.join(words)}: no {wanted}")
    if count < 200:
        faults.append(f"only {count} words were compared")
    tap.case("zsh completes as bash does", faults)


def check_server(tap):
    server = os.environ["VHDKITD"]
    text = check_common(tap, "vhdkitd", [server])
    options = set(OPTION.findall(text))
    tap.case("vhdkitd --help and vhdkitd(8) list the same options",
             difference(options, "--help",
                        page_options(read("server/vhdkitd.pod")), "the page"))
    alone = {"--" + name for name in LINE_ONLY}
    tap.case("vhdkitd.conf(5) lists the options that a file can have",
             difference(options - alone, "--help",
                        page_settings(read("server/vhdkitd.conf.pod")),
                        "the page"))
    tap.case("bash completes vhdkitd's options",
             difference(options, "--help",
                        completed("contrib/completions/vhdkitd",
                                  "vhdkitd", "--"), "the completion"))


def check_verbs(tap, program, page, read_verb_page):
    """--help, page and completion of a program of verbs; which options of the
    page are one's.  read_verb_page: the page where a verb's options are, beside
    those of the program's."""
    tool = os.environ[program.upper()]
    text = check_common(tap, program, [tool])
    completion = f"contrib/completions/{program}"
    verbs = set(re.findall(r"^  ([a-z][a-z-]+) ", text, flags=re.M))
    section = page_section(program)
    tap.case(f"{program} --help and {program}(1) list the same verbs",
             difference(verbs, "--help", {
                 name for line in re.findall(r"^=item (.*)$", page, flags=re.M)
                 for name in re.findall(r"(?:^|, )" + section, line)},
                 "the page"))
    tap.case(f"bash completes {program}'s verbs",
             difference(verbs, "--help",
                        {word for word in completed(completion, program, "")
                         if not word.startswith("-")},
                        "the completion"))
    common = page_options(page)
    used = {"--help", "--version"}
    for verb in sorted(verbs - {"help", "version"}):
        status, out, err = run(tool, verb, "--help")
        faults = []
        if status != 0 or err or not out.startswith(f"usage: {program} "
                                                    f"{verb}"):
            faults.append(f"{program} {verb} --help: status {status}, said "
                          f"{(out + err)[:200]!r}")
        options = set(OPTION.findall(out))
        # What several verbs take may be described once, in the program's page.
        listed = page_options(read_verb_page(verb))
        faults += difference(options - (common - listed), "--help", listed,
                             "the page")
        used |= options
        faults += difference(options, "--help",
                             completed(completion, program, verb, "--"),
                             "the completion")
        tap.case(f"{program} {verb}: --help, page and completion agree",
                 faults)
    tap.case(f"every common option of {program}(1) is one of some verb",
             sorted(common - used))


def page_section(program):
    """How a page begins an item that is a verb."""
    return (r"B<([a-z][a-z-]+)>" if program == "vhdkitctl" else
            r"(?:[BL]<)?(?:vhdkit[ -])?([a-z][a-z-]+)")


def check_tool(tap):
    check_verbs(tap, "vhdkit", read("tool/vhdkit.pod"),
                lambda verb: read(f"tool/vhdkit-{verb}.pod"))
    check_verbs(tap, "vhdkitctl", read("tool/ctl/vhdkitctl.pod"),
                lambda verb: "")


def check_json(tap):
    """Keys are written as qemu-img writes them, all of them."""
    faults = []
    for path in glob.glob(os.path.join(SRCDIR, "tool", "**", "*.c"),
                          recursive=True):
        for key in re.findall(r'json_put\w*\([^;]*?, "([^"]*)"', read(path)):
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*", key):
                faults.append(f"{os.path.relpath(path, SRCDIR)}: {key}")
    tap.case("the keys of JSON have dashes between their words", faults)


def check_plugin(tap):
    plugin = os.environ["VHDKIT_PLUGIN"]
    if not plugin or not os.path.exists(plugin):
        tap.skip("the plugin's --help and page agree", "built without nbdkit")
        return
    environment = dict(os.environ)
    if os.environ["ASAN_PRELOAD"]:
        environment["LD_PRELOAD"] = os.environ["ASAN_PRELOAD"]
        environment["ASAN_OPTIONS"] = "detect_leaks=0"
    if os.environ["SANITIZE"] == "thread":
        tap.skip("the plugin's --help and page agree", "built with TSan")
        return
    try:
        out = subprocess.run(["nbdkit", plugin, "--help"], text=True,
                             capture_output=True, timeout=60, check=False,
                             env=environment, stdin=subprocess.DEVNULL).stdout
    except FileNotFoundError:
        tap.skip("the plugin's --help and page agree",
                 "package nbdkit is not installed")
        return
    parameters = set(re.findall(r"^\[?([a-z][a-z-]*)=", out, flags=re.M))
    page = set(re.findall(r"^=item \[?B<([a-z][a-z-]*)=>",
                          read("plugin/nbdkit-vhd-plugin.pod"), flags=re.M))
    tap.case("nbdkit vhd --help and nbdkit-vhd-plugin(1) list the same "
             "parameters", difference(parameters, "--help", page, "the page"))


def main():
    tap = Tap()
    check_server(tap)
    check_tool(tap)
    check_zsh(tap)
    check_json(tap)
    check_plugin(tap)
    tap.case("a difference would be seen",
             [] if list(difference({"--a"}, "x", {"--b"}, "y")) ==
             ["--a is in x, not in y", "--b is in y, not in x"] else ["no"])
    tap.end()


main()
