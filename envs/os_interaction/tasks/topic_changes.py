"""Generated tasks that change a folder: names, contents, places and permissions of many files at once."""

from envs.os_interaction.tasks.forms import change_folder
from envs.os_interaction.tasks.templates import NOUNS, Draw, script, write

ENDINGS = ("txt", "log", "csv", "md", "dat", "conf")


def _flat(draw: Draw) -> tuple[dict[str, str], str]:
    """Draw a folder of text files of two extensions with words that come again."""
    folder, (ext, other) = draw.folder(), draw.many(ENDINGS, 2)
    words = draw.subjects(5)
    lines = [f"mkdir -p {folder}/{draw.one(('inner', 'more', 'sub'))}"]
    names = draw.files(draw.number(5, 8))
    days = draw.chance.sample(range(2, 90), len(names))
    for at, name in enumerate(names):
        text = [f"# {draw.one(NOUNS)}", words[0], "", *(draw.one(words) for _ in range(draw.number(2, 7)))]
        draw.chance.shuffle(text)
        path = f"{folder}/{name}.{ext if at < len(names) // 2 + 1 else other}"
        lines += [write(path, "\n".join(text) + "\n"), f"touch -d '{days[at]} days ago' {path}"]
    places = {
        "folder": folder,
        "ext": ext,
        "other": draw.one([one for one in ENDINGS if one not in (ext, other)]),
    }
    places |= {"file": f"{folder}/{names[0]}.{ext}", "two": f"{folder}/{names[1]}.{ext}"}
    return places | {
        "old": words[0],
        "new": draw.subjects(1)[0] + "ish",
        "fresh": f"{folder}/{draw.one(NOUNS)}0",
    }, (script(*lines))


def _setting(draw: Draw) -> tuple[dict[str, str], str]:
    """Draw a file of settings."""
    folder, names = draw.folder(), draw.many(("port", "timeout", "retries", "workers", "cache", "limit"), 4)
    file = f"{folder}/{draw.one(NOUNS)}.conf"
    text = "\n".join(["# settings", *(f"{name}={draw.number(1, 90)}" for name in names)]) + "\n"
    places = {
        "folder": folder,
        "file": file,
        "key": names[draw.number(0, 3)],
        "value": str(draw.number(100, 9999)),
    }
    return places, script(f"mkdir -p {folder}", write(file, text))


def _capitals(draw: Draw) -> tuple[dict[str, str], str]:
    """Draw a folder of files whose names have capitals."""
    folder, names = draw.folder(), draw.files(draw.number(3, 6))
    paths = [f"{folder}/{name.upper() if at % 2 else name.capitalize()}.txt" for at, name in enumerate(names)]
    lines = [write(path, f"{draw.number(1, 99)}\n") for path in paths]
    return {"folder": folder}, script(f"mkdir -p {folder}", *lines)


def _mixed(draw: Draw) -> tuple[dict[str, str], str]:
    """Draw a tree with scripts, texts, and folders with nothing in them."""
    folder, inner = draw.folder(), draw.subjects(4)
    lines = [f"mkdir -p {' '.join(f'{folder}/{name}' for name in inner)} {folder}/{inner[0]}/spare"]
    for at, name in enumerate(draw.files(draw.number(6, 10))):
        path = f"{folder}/{draw.one(('', f'{inner[0]}/', f'{inner[1]}/'))}{name}.{('sh', 'txt')[at % 2]}"
        lines += [f"head -c {draw.one(('20', '300', '900', '3000'))} /dev/zero > {path}"]
        lines += [f"chmod {('644', '600', '664', '666')[at % 4]} {path}"]
    lines += [f"head -c 5000 /dev/zero > {folder}/big.txt"]
    return {"folder": folder}, script(*lines)


LOOK = "ls -l <folder>"
TEMPLATES = (
    change_folder(
        "extension",
        _flat,
        'for f in <folder>/*.<ext>; do mv "$f" "${f%.<ext>}.<other>"; done',
        "${f%.<ext>} is the name without its extension, so mv can give each a new one.",
        "Rename all .<ext> files in <folder> so that they end in .<other> instead.",
        "Change the extension of every *.<ext> file in <folder> to .<other>",
        "Our program reads .<other> files only. Give the .<ext> files directly in <folder> that extension.",
        "In <folder> , turn each name.<ext> into name.<other> (rename, do not copy).",
        look=LOOK,
    ),
    change_folder(
        "prefix",
        _flat,
        'cd <folder> && for f in *.<ext>; do mv "$f" "<old>_$f"; done',
        "In the folder itself, each name can get the text in front.",
        "Put <old>_ in front of the name of each .<ext> file in <folder>",
        "Rename the .<ext> files in <folder> : every name gets the prefix <old>_ before it.",
        "Add the prefix <old>_ to all *.<ext> file names in <folder>",
        "Each NAME.<ext> directly in <folder> should become <old>_NAME.<ext> ; rename them.",
        look=LOOK,
    ),
    change_folder(
        "backups",
        _flat,
        'for f in <folder>/*.<ext>; do cp "$f" "$f.bak"; done',
        "A loop copies each file to its own name with .bak behind it.",
        "Make a backup copy of each .<ext> file in <folder> , with .bak added to its name.",
        "Before I edit them, copy every *.<ext> in <folder> to the same name followed by .bak",
        "For all .<ext> files directly in <folder> , create copies named NAME.<ext>.bak beside them.",
        "Back up the .<ext> files of <folder> in place; the suffix of the copies is .bak",
        look=LOOK,
    ),
    change_folder(
        "replace_all",
        _flat,
        "sed -i 's/<old>/<new>/g' <folder>/*.<ext>",
        "sed -i changes the files themselves, and g takes every occurrence of a line.",
        "Replace <old> with <new> in all .<ext> files of <folder>",
        "The project was renamed from <old> to <new> . Update the text of every *.<ext> file in <folder>",
        "In each .<ext> file directly in <folder> , every occurrence of <old> must become <new> ; edit "
        "in place.",
        "Substitute the text <old> by <new> in <folder>/*.<ext> please.",
        look="grep -rn '<old>' <folder> | head -n 5",
    ),
    change_folder(
        "delete_lines",
        _flat,
        "sed -i '/<old>/d' <file>",
        "sed's d deletes the lines that match, and -i changes the file itself.",
        "Delete all lines of <file> that contain <old>",
        "Remove every line with the text <old> from the file <file>",
        "The entries about <old> in <file> are obsolete: drop these lines, keep the others as they are.",
        "Edit <file> in place so that no line mentions <old> any more (delete such lines).",
        look="cat <file>",
    ),
    change_folder(
        "strip",
        _flat,
        "sed -i -e '/^#/d' -e '/^$/d' <file>",
        "One expression deletes lines that begin with #, the other empty lines.",
        "Remove comments (lines beginning with #) and empty lines from <file>",
        "Clean up <file> : neither lines starting with # nor blank lines should stay.",
        "Delete the empty lines and the lines that start with # in <file> , in place.",
        "Keep only real content in <file> , so without # lines and without blank lines.",
        look="cat <file>",
    ),
    change_folder(
        "head_to",
        _flat,
        "head -n <bound> <file> > <fresh>",
        "head prints the first lines, and > writes them to the new file.",
        "Write the first <bound> lines of <file> to <fresh>",
        "Create the file <fresh> with just the first <bound> lines of <file>",
        "I need a sample: the top <bound> lines of <file> , stored in <fresh>",
        "Copy lines 1 to <bound> of <file> into a new file <fresh>",
        look="cat <file>",
        bound=("2", "3", "4"),
    ),
    change_folder(
        "last_to",
        _flat,
        "tail -n <bound> <file> > <fresh>",
        "tail prints the last lines, and > writes them to the new file.",
        "Write the last <bound> lines of <file> to <fresh>",
        "Create the file <fresh> with just the final <bound> lines of <file>",
        "Save the end of <file> , its last <bound> lines, in <fresh>",
        "The bottom <bound> lines of <file> should go to a new file <fresh>",
        bound=("2", "3", "4"),
    ),
    change_folder(
        "sorted_to",
        _flat,
        "sort -u <file> > <fresh>",
        "sort -u sorts the lines and keeps equal ones once.",
        "Write the lines of <file> to <fresh> , sorted and without duplicates.",
        "Create <fresh> from <file> : its distinct lines in sorted order.",
        "Sort <file> , drop repeated lines, and store the result in <fresh>",
        "Save the unique lines of <file> , in alphabetical order, as <fresh>",
    ),
    change_folder(
        "joined",
        _flat,
        "cat <file> <two> > <fresh>",
        "cat prints one file after the other.",
        "Concatenate <file> and <two> , in this order, into <fresh>",
        "Join <file> with <two> (first the former) and write the result to <fresh>",
        "Make one file <fresh> out of <file> followed by <two>",
        "Combine the contents of <file> and then <two> in a new file named <fresh>",
    ),
    change_folder(
        "append",
        _flat,
        'for f in <folder>/*.<ext>; do echo "<new>" >> "$f"; done',
        ">> adds a line at the end of each file.",
        "Append the line <new> to each .<ext> file in <folder>",
        "Every *.<ext> in <folder> should get one more line at its end: <new>",
        "Add <new> as the last line of all .<ext> files directly in <folder>",
        "Put a footer line reading <new> at the bottom of each .<ext> file in <folder>",
        look=LOOK,
    ),
    change_folder(
        "first_line",
        _flat,
        "sed -i '1i <new>' <file>",
        "1i inserts before the first line.",
        "Insert the line <new> at the top of <file>",
        "Make <new> the first line of <file> , before all that it has now.",
        "Add a header line <new> to the file <file>",
        "Prepend one line to <file> that reads <new>",
    ),
    change_folder(
        "capitals_in",
        _flat,
        "sed -i 's/.*/\\U&/' <file>",
        "\\U& is the whole line in capitals.",
        "Convert the text in <file> to upper case.",
        "Change all letters in the file <file> to capitals, in place.",
        "Make the content of <file> uppercase.",
        "The file <file> should be all in capital letters. Rewrite it.",
    ),
    change_folder(
        "emptied",
        _flat,
        "truncate -s 0 <file>",
        "truncate sets the size to 0 and keeps the file.",
        "Empty the file <file> but do not delete it.",
        "Truncate <file> to zero bytes.",
        "<file> has grown too much. Remove all of its content; the file itself must stay.",
        "Clear the contents of <file> so that its size is 0.",
    ),
    change_folder(
        "collect",
        _flat,
        "mkdir <folder>/<old> && mv <folder>/*.<ext> <folder>/<old>/",
        "The folder must exist first; then the pattern moves just these files.",
        "Make a folder <old> inside <folder> and move all .<ext> files of <folder> into it.",
        "In <folder> , sort the .<ext> files into a new subfolder called <old>",
        "Create the subdirectory <old> in <folder> ; every *.<ext> directly in <folder> goes there.",
        "Tidy up <folder> : its .<ext> files belong into a subdirectory <old> that you create.",
        look=LOOK,
    ),
    change_folder(
        "old_deleted",
        _flat,
        "find <folder> -maxdepth 1 -type f -mtime +<days> -delete; touch <folder>/cleaned",
        "find -mtime +<days> takes the older files, and -delete removes them; touch makes the mark.",
        "Delete the files in <folder> older than <days> days, then create an empty file named cleaned there.",
        "Clean <folder> : remove files last modified over <days> days ago, and leave an empty file "
        "cleaned in it.",
        "Files directly in <folder> not changed for more than <days> days should go. Then touch "
        "<folder>/cleaned",
        "Remove from <folder> what is older than <days> days (files only) and make the empty file "
        "cleaned in it.",
        look=LOOK,
        days=("10", "30", "45", "60"),
    ),
    change_folder(
        "packed",
        _flat,
        "cd <folder> && tar -czf <old>.tar.gz *.<ext>",
        "In the folder itself, tar -czf packs the files under their plain names.",
        "Pack the .<ext> files of <folder> into <folder>/<old>.tar.gz without any directory in their names.",
        "Create the gzip-compressed archive <old>.tar.gz in <folder> with all its .<ext> files as plain "
        "names.",
        "In <folder> , archive *.<ext> as <old>.tar.gz (tar with gzip; members have no directory part).",
        "Make a tarball <old>.tar.gz in <folder> that holds just the .<ext> files of that folder, by bare "
        "names.",
        look=LOOK,
    ),
    change_folder(
        "zipped",
        _flat,
        "gzip <folder>/*.<ext>",
        "gzip replaces each file by a compressed one with .gz behind its name.",
        "Compress each .<ext> file in <folder> with gzip.",
        "Gzip the *.<ext> files in <folder> , each by itself; the originals are replaced.",
        "To save space, turn every NAME.<ext> directly in <folder> into NAME.<ext>.gz",
        "Run gzip over all .<ext> files of <folder>",
        look=LOOK,
    ),
    change_folder(
        "linked",
        _flat,
        "ln -s <file> <folder>/current",
        "ln -s takes the target first and then the link's name.",
        "Create a symbolic link named current in <folder> that points to <file> (full path).",
        "Make <folder>/current a symlink to <file> with its absolute path.",
        "I want <folder>/current to be a soft link whose target is exactly <file>",
        "Link <file> symbolically under the name <folder>/current please.",
    ),
    change_folder(
        "counted",
        _flat,
        'cd <folder> && for f in *.<ext>; do echo "$f $(wc -l < "$f")"; done > summary',
        "wc -l < file prints the number alone; the loop writes one line a file.",
        "Write <folder>/summary with one line for each .<ext> file there: its name, a space, its number "
        "of lines.",
        "For every *.<ext> in <folder> , put a line NAME COUNT (count of lines) into the file "
        "summary in <folder> , sorted by name.",
        "Create a file summary in <folder> that lists each .<ext> file of it by name with its line count.",
        "Report line counts: in <folder>/summary , a line such as a.<ext> 12 for each .<ext> file, by name.",
        look=LOOK,
    ),
    change_folder(
        "setting",
        _setting,
        "sed -i 's/^<key>=.*/<key>=<value>/' <file>",
        "The pattern takes the whole line of this key, and the new line replaces it.",
        "Set <key> to <value> in the configuration file <file>",
        "In <file> , change the value of <key> to <value> and leave the rest.",
        "The setting <key> in <file> must be <value> now. Update it in place.",
        "Edit <file> so that it says <key>=<value>",
        look="cat <file>",
    ),
    change_folder(
        "commented",
        _setting,
        "sed -i 's/^<key>=/#&/' <file>",
        "& is what was matched, so the line gets a # in front.",
        "Comment out the line of <key> in <file> by a # in front of it.",
        "Disable the setting <key> in <file> : put # directly before it.",
        "In the file <file> , turn the line that sets <key> into a comment (with # at its start, no space).",
        "Deactivate <key> in <file> with a leading #",
        look="cat <file>",
    ),
    change_folder(
        "lower_names",
        _capitals,
        'cd <folder> && for f in *; do mv "$f" "$(echo "$f" | tr A-Z a-z)"; done',
        "tr makes each name lower case, and mv renames it.",
        "Rename all files in <folder> to lower case.",
        "The file names in <folder> have capitals. Change each name to lower-case letters.",
        "Make every file name in <folder> lowercase, contents unchanged.",
        "Convert the names (not the contents) of the files in <folder> to small letters.",
        look=LOOK,
    ),
    change_folder(
        "empty_folders",
        _mixed,
        "find <folder> -mindepth 1 -type d -empty -delete",
        "-empty -type d takes folders that hold nothing; -delete works from the deepest up.",
        "Delete all empty directories below <folder> ; folders that become empty by that go too.",
        "Remove empty subfolders of <folder> , also those left empty once their empty subfolders are gone.",
        "Clean the tree <folder> of directories without any file in or below them. Keep <folder> itself.",
        "No directory below <folder> should be empty in the end: delete the empty ones, nested ones as well.",
        look="find <folder> -type d",
    ),
    change_folder(
        "scripts_run",
        _mixed,
        "find <folder> -name '*.sh' -exec chmod 755 {} +",
        "find takes the scripts at every depth, and -exec chmod sets the mode.",
        "Set the permissions of all .sh files in <folder> and its subfolders to 755.",
        "Every shell script (*.sh) under <folder> must have mode 755, nothing else changes.",
        "Make the .sh files anywhere below <folder> executable with chmod 755",
        "Recursively apply mode 755 to *.sh in <folder>",
        look="find <folder> -name '*.sh' -ls",
        modes=True,
    ),
    change_folder(
        "tree_modes",
        _mixed,
        "find <folder> -type f -exec chmod <mode> {} +",
        "-type f takes files only, so folders keep their modes.",
        "Set the mode of all files (not directories) below <folder> to <mode>",
        "Recursively chmod the regular files in <folder> to <mode> , without touching folders.",
        "All files under <folder> , at any depth, need permissions <mode> ; directories stay as they are.",
        "Apply <mode> to each file of the tree <folder> but to none of its directories.",
        modes=True,
        mode=("640", "600", "444", "660", "440"),
    ),
    change_folder(
        "big_copied",
        _mixed,
        "mkdir <folder>/large && find <folder> -path <folder>/large -prune -o -type f -size +2000c -print"
        " | xargs -I{} cp {} <folder>/large/",
        "-size +2000c takes files above 2000 bytes; -prune keeps find out of the new folder.",
        "Copy each file below <folder> of more than 2000 bytes into the new folder <folder>/large",
        "Create <folder>/large and put copies of all files bigger than 2000 bytes from the tree <folder> "
        "in it.",
        "Collect copies of the files over 2000 bytes, at any depth of <folder> , in a new directory "
        "<folder>/large",
        "Make the directory large in <folder> ; copy into it every file under <folder> larger than 2000 "
        "bytes.",
        look="find <folder> -type f -size +2000c",
    ),
)
