"""Generated tasks about files and folders."""

import shlex

from envs.os_interaction.tasks.table import Script
from envs.os_interaction.tasks.templates import EXTENSIONS, Draw, Made, Template, script, write

HERE = "There is a folder <folder>. "


def _count(draw: Draw) -> Made:
    folder, (ext, other) = draw.folder(), draw.many(EXTENSIONS, 2)
    inner = draw.subjects(1)[0]
    names = draw.files(draw.number(5, 11))
    places = [draw.one((folder, f"{folder}/{inner}")) for _ in names]
    wanted = draw.number(1, len(names) - 2)
    paths = [
        f"{place}/{name}.{ext if at < wanted else other}"
        for at, (place, name) in enumerate(zip(places, names, strict=True))
    ]
    init = script(f"mkdir -p {folder}/{inner}", f"touch {' '.join(paths)}")
    return Made({"folder": folder, "ext": ext}, init, str(wanted))


def _biggest(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(4, 8))
    sizes = draw.chance.sample(range(10, 3000), len(names))
    big = max(zip(sizes, names, strict=True))[1] + ".dat"
    lines = [
        f"head -c {size} /dev/zero > {folder}/{name}.dat" for size, name in zip(sizes, names, strict=True)
    ]
    return Made({"folder": folder}, script(f"mkdir -p {folder}", *lines), big)


def _hidden(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(5, 10))
    hidden = draw.number(1, len(names) - 1)
    paths = [f"{folder}/{'.' if at < hidden else ''}{name}" for at, name in enumerate(names)]
    lines = [f"mkdir -p {folder}/.cache", f"touch {folder}/.cache/.inner {' '.join(paths)}"]
    return Made({"folder": folder}, script(*lines), str(hidden))


def _bytes(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(3, 6))
    inner = draw.subjects(1)[0]
    sizes = [draw.number(10, 900) for _ in names]
    lines = [
        f"head -c {size} /dev/zero > {folder}/{draw.one(('', f'{inner}/'))}{name}"
        for size, name in zip(sizes, names, strict=True)
    ]
    return Made({"folder": folder}, script(f"mkdir -p {folder}/{inner}", *lines), str(sum(sizes)))


def _where(draw: Draw) -> Made:
    folder, inner = draw.folder(), draw.subjects(5)
    name = f"{draw.files(1)[0]}.{draw.one(EXTENSIONS)}"
    path = "/".join([folder, *draw.many(inner, draw.number(1, 3)), name])
    lines = [f"mkdir -p {folder}/{one}/{other}" for one in inner for other in inner if one != other]
    return Made(
        {"folder": folder, "name": name},
        script(*lines, f"mkdir -p $(dirname {path})", f"touch {folder}/other-{name} {path}"),
        path,
    )


def _move(draw: Draw) -> Made:
    folder, (ext, other) = draw.folder(), draw.many(EXTENSIONS, 2)
    target = f"{folder}-{draw.one(('old', 'moved', 'kept', 'sorted'))}"
    names = draw.files(draw.number(4, 8))
    cut = draw.number(1, len(names) - 1)
    moved, kept = [f"{name}.{ext}" for name in names[:cut]], [f"{name}.{other}" for name in names[cut:]]
    lines = [write(f"{folder}/{name}", f"{name}\n") for name in (*moved, *kept)]
    check = [f'[ "$(ls -A {target} | sort)" = {shlex.quote(chr(10).join(sorted(moved)))} ] || exit 1']
    check += [f'[ "$(ls -A {folder} | sort)" = {shlex.quote(chr(10).join(sorted(kept)))} ] || exit 1']
    check += [f'[ "$(cat {target}/{name})" = {name} ] || exit 1' for name in moved]
    return Made(
        {"folder": folder, "ext": ext, "target": target},
        script(f"mkdir -p {folder}", *lines),
        check=[Script(script(*check))],
    )


def _empty(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(5, 9))
    cut = draw.number(1, len(names) - 1)
    inner = draw.subjects(1)[0]
    paths = [f"{draw.one((folder, f'{folder}/{inner}'))}/{name}" for name in names]
    lines = [
        f"touch {' '.join(paths[:cut])}",
        *(f"echo {draw.number(1, 9)} > {path}" for path in paths[cut:]),
    ]
    left = shlex.quote("\n".join(sorted(paths[cut:])))
    check = script(f'[ "$(find {folder} -type f | LC_ALL=C sort)" = {left} ]')
    return Made({"folder": folder}, script(f"mkdir -p {folder}/{inner}", *lines), check=[Script(check)])


def _create(draw: Draw) -> Made:
    folder, (inner, word) = draw.folder(), draw.subjects(2)
    name = f"{draw.files(1)[0]}.txt"
    check = script(
        f"[ -d {folder}/{inner} ] && [ ! -L {folder}/{inner} ] || exit 1",
        f'[ -f {folder}/{inner}/{name} ] && [ "$(cat {folder}/{inner}/{name})" = {word} ]',
    )
    return Made(
        {"folder": folder, "inner": inner, "name": name, "word": word},
        f"mkdir -p {folder}",
        check=[Script(check)],
    )


def _newest(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(4, 7))
    days = draw.chance.sample(range(1, 300), len(names))
    newest = min(zip(days, names, strict=True))[1]
    lines = [f"touch -d '{day} days ago' {folder}/{name}" for day, name in zip(days, names, strict=True)]
    return Made({"folder": folder}, script(f"mkdir -p {folder}", *lines), newest)


def _link(draw: Draw) -> Made:
    folder, (name, link) = draw.folder(), draw.subjects(2)
    places = {"file": f"{folder}/{name}.conf", "link": f"/root/{link}"}
    check = f'[ -L {places["link"]} ] && [ "$(readlink -f {places["link"]})" = {places["file"]} ]'
    init = script(f"mkdir -p {folder}", write(places["file"], "on\n"))
    return Made(places, init, check=[Script(f"{check} && [ -f {places['file']} ]")])


def _twin(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(4, 7))
    words = draw.subjects(len(names))
    words[1] = words[0]
    lines = [write(f"{folder}/{name}", f"{word}\n") for name, word in zip(names, words, strict=True)]
    return Made({"folder": folder, "name": names[0]}, script(f"mkdir -p {folder}", *lines), names[1])


def _archive(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(3, 9))
    path = f"{folder}/{draw.subjects(1)[0]}.tar.gz"
    lines = [
        f"mkdir -p {folder} /tmp/packed/inner",
        f"touch /tmp/packed/inner/{' /tmp/packed/inner/'.join(names)}",
    ]
    lines += [f"tar -czf {path} -C /tmp/packed .", "rm -r /tmp/packed"]
    return Made({"archive": path}, script(*lines), str(len(names)))


TEMPLATES = (
    Template(
        "count",
        (
            "How many files with the extension .<ext> are in <folder> and its subfolders?",
            "Count the .<ext> files anywhere below <folder>. Answer with the number only.",
            HERE + "Tell me how many files in it, at any depth, end in .<ext>",
        ),
        _count,
        "find <folder> -type f -name '*.<ext>' | wc -l",
        "find lists the .<ext> files at every depth, and wc counts them.",
    ),
    Template(
        "biggest",
        (
            "Which file in <folder> is the biggest? Answer with its name only.",
            "Name the largest file in <folder> (name without the folder).",
            HERE + "What is the name of the file in it that has the most bytes?",
        ),
        _biggest,
        "ls -S <folder> | head -n 1",
        "ls -S sorts by size, so the first name is the biggest.",
        "ls -l <folder>",
    ),
    Template(
        "hidden",
        (
            "How many hidden files are directly in <folder>? Do not count folders.",
            "Count the hidden files in <folder>, without those in subfolders and without folders.",
            HERE + "How many files in it, not in its subfolders, have a name that begins with a dot?",
        ),
        _hidden,
        "find <folder> -maxdepth 1 -type f -name '.*' | wc -l",
        "Hidden names begin with a dot, and -maxdepth 1 stays out of subfolders.",
        "ls -la <folder>",
    ),
    Template(
        "bytes",
        (
            "How many bytes do all files in <folder> and its subfolders have together?",
            "Add up the sizes in bytes of all files below <folder>. Answer with the sum.",
            HERE + "What is the total size of the files in it, at any depth, in bytes?",
        ),
        _bytes,
        "find <folder> -type f -printf '%s\\n' | awk '{s += $1} END {print s}'",
        "find prints each file's size in bytes, and awk adds them up.",
    ),
    Template(
        "where",
        (
            "Where below <folder> is the file <name> ? Answer with its full path.",
            "Somewhere in <folder> there is a file named <name> - what is its full path?",
            HERE + "Find the file <name> in it and tell me the full path.",
        ),
        _where,
        "find <folder> -type f -name '<name>'",
        "find looks in every subfolder for exactly this name.",
    ),
    Template(
        "move",
        (
            "Move all .<ext> files from <folder> to the new folder <target> and leave the others.",
            "Create the folder <target> and move every file of <folder> that ends in .<ext> into it.",
            "The .<ext> files in <folder> belong into <target> , which does not exist yet. Move them.",
        ),
        _move,
        "mkdir -p <target> && mv <folder>/*.<ext> <target>/",
        "The target must exist first; then the pattern *.<ext> moves just these files.",
        "ls <folder>",
        does=True,
    ),
    Template(
        "empty",
        (
            "Delete all empty files in <folder> and its subfolders, and nothing else.",
            "Remove every file of size zero below <folder>. Keep all other files.",
            HERE + "Clean it up: delete the files in it, at any depth, that are empty.",
        ),
        _empty,
        "find <folder> -type f -empty -delete",
        "-empty with -type f finds files of size zero only, and -delete removes them.",
        "find <folder> -type f -empty",
        does=True,
    ),
    Template(
        "create",
        (
            "In <folder> create a folder <inner> and in it a file <name> with the text <word>",
            "Make the folder <inner> inside <folder> , and in it a file <name> with the word <word>",
            HERE + "It needs a subfolder <inner> with a file <name> whose content is <word>",
        ),
        _create,
        "mkdir -p <folder>/<inner> && echo <word> > <folder>/<inner>/<name>",
        "The folder must be there before the file can be written.",
        does=True,
    ),
    Template(
        "newest",
        (
            "Which file in <folder> was changed last? Answer with its name only.",
            "Name the file in <folder> with the newest modification time.",
            HERE + "What is the name of the most recently modified file in it?",
        ),
        _newest,
        "ls -t <folder> | head -n 1",
        "ls -t puts the newest file first.",
        "ls -lt <folder>",
    ),
    Template(
        "link",
        (
            "Make a symbolic link <link> that points to <file>",
            "Create a symlink at <link> whose target is <file>",
            "I want <link> to be a symbolic link to <file>",
        ),
        _link,
        "ln -s <file> <link>",
        "ln -s takes the target first and the name of the link second.",
        does=True,
    ),
    Template(
        "twin",
        (
            "Which other file in <folder> has the same content as <name> ? Answer with its name only.",
            "One file in <folder> is a copy of <name> under another name. What is the copy's name?",
            HERE + "Find the file in it whose content equals that of <name> and tell me its name.",
        ),
        _twin,
        'cd <folder> && for f in *; do [ "$f" != <name> ] && cmp -s "$f" <name> && echo "$f"; done; cd',
        "cmp compares each other file with it byte by byte.",
    ),
    Template(
        "archive",
        (
            "How many files are in the archive <archive> ? Do not count folders.",
            "Count the files, without folders, that <archive> contains.",
            "Without unpacking it, tell me how many files (not folders) are inside <archive>",
        ),
        _archive,
        "tar -tzf <archive> | grep -vc '/$'",
        "tar -t lists the archive; folders end in a slash, so the other lines are counted.",
    ),
)
