"""Generated tasks about a tree of folders: extremes, sums, links, ages, depths."""

from envs.os_interaction.tasks.forms import NUMBER, TEXT, ask_in_folder
from envs.os_interaction.tasks.templates import NOUNS, Draw, script

ENDINGS = ("txt", "log", "csv", "jpg", "sh", "html", "py", "xml")


def _tree(draw: Draw) -> tuple[dict[str, str], str]:
    """Draw a tree with files of different sizes and ages, links, and empty folders."""
    folder = draw.folder()
    inner = [f"{folder}/{name}" for name in draw.subjects(4)]
    deep = [f"{inner[0]}/{draw.one(('src', 'lib', 'raw'))}", f"{inner[1]}/{draw.one(('2023', 'v1'))}/part"]
    lines = [f"mkdir -p {' '.join([*inner, *deep])} {folder}/{draw.one(('spare', 'unused'))}{{1,2}}"]
    count = draw.number(10, 18)
    endings = draw.many(ENDINGS, 4)
    sizes = draw.chance.sample(range(5, 6000), count)
    days = draw.chance.sample(range(2, 500), count)
    paths: list[str] = []
    for at, name in enumerate(draw.files(count)):
        ending = endings[0] if at < 3 else draw.one(endings)
        ending = ending.upper() if at and not draw.number(0, 4) else ending
        paths.append(f"{draw.one((folder, *inner[:3], *deep))}/{name}.{ending}")
        lines += [
            f"head -c {sizes[at]} /dev/zero > {paths[at]}",
            f"chmod {draw.one(('644', '640', '600', '666', '755', '777'))} {paths[at]}",
            f"touch -d '{days[at]} days ago' {paths[at]}",
        ]
    links = draw.many(("current", "latest", "shortcut", "alias"), 3)
    lines += [f"ln -s {paths[1]} {folder}/{links[0]}", f"ln -s {folder}/gone {inner[0]}/{links[1]}"]
    lines += [f"ln {paths[2]} {inner[3]}/{links[2]}.hard"] * draw.number(0, 1)
    places = {"folder": folder, "ext": endings[0], "file": paths[0], "link": f"{folder}/{links[0]}"}
    return places, script(*lines)


LOOK = "find <folder> | head -n 20"
TEMPLATES = (
    ask_in_folder(
        "any_case",
        _tree,
        NUMBER,
        "find <folder> -type f -iname '*.<ext>' | wc -l",
        "-iname compares names without regard to capitals.",
        "How many files under <folder> end in .<ext> , in upper or lower case?",
        "Count the .<ext> files below <folder> ; the extension may be in capitals too.",
        "Some files in <folder> came from an old camera and have capital extensions. How many are .<ext> "
        "in any case?",
        "Case-insensitive count of *.<ext> files in <folder> , recursively.",
    ),
    ask_in_folder(
        "containing",
        _tree,
        NUMBER,
        "find <folder> -type f -name '*<part>*' | wc -l",
        "Stars on both sides take names with the text anywhere.",
        "How many files below <folder> have <part> anywhere in their name?",
        "Count the files in <folder> , at any depth, whose name contains <part>",
        "I am looking for files about <part> in <folder> . How many file names have that text in them?",
        "Number of files under <folder> matching *<part>* by name",
        part=("a", "e", "report", "note", "in", "l", "er", "1"),
    ),
    ask_in_folder(
        "empty_folders",
        _tree,
        NUMBER,
        "find <folder> -type d -empty | wc -l",
        "-empty with -type d takes folders that hold nothing.",
        "How many empty directories are there under <folder> ?",
        "Count the folders below <folder> that hold nothing at all.",
        "We want to clean up <folder> . How many of its subdirectories, at any depth, are empty?",
        "Number of empty directories in the tree <folder>",
    ),
    ask_in_folder(
        "largest",
        _tree,
        TEXT,
        "find <folder> -type f -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2",
        "find prints sizes and paths; sorted as numbers, the largest is last.",
        "Which file anywhere under <folder> is the largest? Give its full path.",
        "The disk is filling up. Find the biggest file below <folder> and answer with its path.",
        "Full path of the largest file in the tree <folder> , please.",
        "Search <folder> and all its subfolders for the file with the most bytes; what is its path?",
    ),
    ask_in_folder(
        "smallest",
        _tree,
        TEXT,
        "find <folder> -type f -printf '%s %p\\n' | sort -n | head -n 1 | cut -d' ' -f2",
        "find prints sizes and paths; sorted as numbers, the smallest is first.",
        "Which file anywhere under <folder> is the smallest? Give its full path.",
        "Find the file with the fewest bytes below <folder> and answer with its path.",
        "Full path of the smallest file in the tree <folder> , please.",
        "Search <folder> recursively: what is the path of the smallest regular file?",
    ),
    ask_in_folder(
        "oldest",
        _tree,
        TEXT,
        "find <folder> -type f -printf '%T@ %p\\n' | sort -n | head -n 1 | cut -d' ' -f2",
        "find prints times and paths; sorted by time, the oldest is first.",
        "Which file below <folder> has not been modified for the longest time? Give its path.",
        "Find the oldest file (by modification time) anywhere in <folder> and answer with its full path.",
        "Path of the least recently modified file under <folder> ?",
        "I want to archive old data first. What is the full path of the oldest file in the tree <folder> ?",
    ),
    ask_in_folder(
        "sum_of_ending",
        _tree,
        NUMBER,
        "find <folder> -type f -name '*.<ext>' -printf '%s\\n' | awk '{s += $1} END {print s + 0}'",
        "find prints the size of each .<ext> file, and awk adds them up.",
        "How many bytes do the .<ext> files below <folder> have together?",
        "Add up the sizes in bytes of all files under <folder> that end in .<ext>",
        "Total size in bytes of *.<ext> in <folder> , subfolders included?",
        "How much space, in bytes by file size, is used by .<ext> files anywhere in <folder> ?",
    ),
    ask_in_folder(
        "common_ending",
        _tree,
        TEXT,
        "find <folder> -type f | sed 's/.*\\.//' | sort | uniq -c | sort -k1,1nr -k2 | head -n 1"
        " | awk '{print $2}'",
        "What follows the last dot is the extension; uniq -c counts each, and the highest count comes first.",
        "Which file extension is the most frequent below <folder> ? Ties: the first in sorted order. No dot.",
        "Name the most common extension (without the dot) of the files under <folder> ; of equals the "
        "first by name.",
        "Make a statistic of file extensions in <folder> , recursively. Which leads? On a tie, the first "
        "in order.",
        "Most frequent extension in the tree <folder> , without dot, alphabetically first if tied?",
    ),
    ask_in_folder(
        "depth",
        _tree,
        NUMBER,
        "find <folder> -printf '%d\\n' | sort -n | tail -n 1",
        "%d is the depth below the start; sorted as numbers, the deepest is last.",
        "How deep is the tree <folder> ? An entry directly in it has depth 1.",
        "What is the greatest depth of anything below <folder> , counting its direct entries as 1?",
        "Maximum nesting level under <folder> (things directly inside are at level 1)?",
        "If entries directly in <folder> are at depth 1, at what depth is the deepest entry?",
    ),
    ask_in_folder(
        "newer",
        _tree,
        NUMBER,
        "find <folder> -type f -newer <file> | wc -l",
        "-newer compares modification times with those of a file.",
        "How many files below <folder> were modified after <file> was?",
        "Count the files in <folder> (recursively) that are newer than <file>",
        "The last backup is as old as <file> . How many files under <folder> changed since then?",
        "Number of files under <folder> with a later modification time than <file> ?",
    ),
    ask_in_folder(
        "between_sizes",
        _tree,
        NUMBER,
        "find <folder> -type f -size +<least>c -size -<bound>c | wc -l",
        "+ is more and - is less; the c means bytes.",
        "How many files below <folder> are larger than <least> but smaller than <bound> bytes?",
        "Count the files under <folder> with a size between <least> and <bound> bytes (both ends excluded).",
        "Number of files in <folder> , recursively, of more than <least> and fewer than <bound> bytes?",
        "In the tree <folder> , how many files have over <least> bytes and under <bound> bytes?",
        least=("100", "500", "900", "1200"),
        bound=("2500", "3000", "4000", "5500"),
    ),
    ask_in_folder(
        "broken_links",
        _tree,
        NUMBER,
        "find <folder> -xtype l | wc -l",
        "-xtype l takes symbolic links whose target is missing.",
        "How many broken symbolic links are there below <folder> ?",
        "Count the symlinks under <folder> that point to something that does not exist.",
        "After a move, links in <folder> may dangle. How many do, at any depth?",
        "Number of dangling symlinks in <folder> ?",
    ),
    ask_in_folder(
        "target",
        _tree,
        TEXT,
        "readlink <link>",
        "readlink prints where a symbolic link points.",
        "Where does the symbolic link <link> point?",
        "What is the target of the symlink <link> ?",
        "<link> is a link. Answer with the path that it refers to.",
        "I see a link at <link> and need the path of the file behind it.",
    ),
    ask_in_folder(
        "hard_links",
        _tree,
        NUMBER,
        "find <folder> -type f -links +1 | wc -l",
        "-links +1 takes files that have more than one name.",
        "How many file names below <folder> belong to a file with more than one hard link?",
        "Count the regular files under <folder> whose link count is above 1.",
        "Number of entries in <folder> , recursively, that are hard-linked (link count 2 or more)?",
        "How many regular files in the tree <folder> have at least two hard links?",
    ),
    ask_in_folder(
        "fullest",
        _tree,
        TEXT,
        "find <folder> -type f -printf '%h\\n' | sort | uniq -c | sort -k1,1nr -k2 | head -n 1 | awk "
        "'{print $2}'",
        "%h is a file's folder; uniq -c counts each, and the highest count comes first.",
        "Which directory of the tree <folder> directly holds the most files? Full path; ties: first in "
        "sorted order.",
        "Find the directory in <folder> (itself included) with the most regular files directly in it. "
        "Of equals the first by path. Answer with the path.",
        "Path of the directory with the highest number of files of its own, within <folder> (tie: sorts "
        "first)?",
        "Count files for each directory of <folder> . Which has the most (first in order if equal)? Full "
        "path.",
    ),
    ask_in_folder(
        "world_writable",
        _tree,
        NUMBER,
        "find <folder> -type f -perm -o+w | wc -l",
        "-perm -o+w takes files that all others may write.",
        "How many files below <folder> are world-writable?",
        "Count the files under <folder> that others (not owner, not group) may write to.",
        "A security check: how many regular files in <folder> can be written by anybody?",
        "Number of files in the tree <folder> with the write bit for others?",
    ),
    ask_in_folder(
        "owner_only",
        _tree,
        NUMBER,
        "find <folder> -type f -not -perm /077 | wc -l",
        "/077 is any bit of the group or of others; -not takes files that have none.",
        "How many files below <folder> give no permission at all to group and others?",
        "Count the files under <folder> that only their owner can access.",
        "In <folder> , recursively, how many files have no permission bits set for group or others?",
        "Number of private files (nothing for group and others) in the tree <folder> ?",
    ),
    ask_in_folder(
        "symbolic",
        _tree,
        TEXT,
        "stat -c %A <file>",
        "%A prints the permissions as ls -l does.",
        "What are the permissions of <file> in symbolic form, such as -rw-r--r-- ?",
        "Give the mode string of <file> as ls -l prints it (ten characters).",
        "Permissions of <file> in letters?",
        "How does ls -l write the permissions of <file> ? Only these ten characters.",
    ),
    ask_in_folder(
        "size_of",
        _tree,
        NUMBER,
        "stat -c %s <file>",
        "%s is the size in bytes.",
        "How many bytes does the file <file> have?",
        "What is the exact size of <file> in bytes?",
        "Size of <file> , in bytes, number only.",
        "I must report the length of <file> in bytes. What is it?",
    ),
    ask_in_folder(
        "changed_on",
        _tree,
        TEXT,
        "date -r <file> +%F",
        "date -r takes the modification time, and %F is the form YYYY-MM-DD.",
        "On which day was <file> last modified? Answer as YYYY-MM-DD.",
        "Give the date of the last modification of <file> in the form YYYY-MM-DD.",
        "Modification date of <file> (YYYY-MM-DD)?",
        "When did somebody last change <file> ? I need the day only, like 2024-01-31.",
    ),
    ask_in_folder(
        "at_depth",
        _tree,
        NUMBER,
        "find <folder> -mindepth 2 -maxdepth 2 -type f | wc -l",
        "-mindepth 2 with -maxdepth 2 leaves just the second level.",
        "How many files are in the direct subfolders of <folder> , not in itself and not deeper?",
        "Count the regular files exactly two levels below <folder> (that is, <folder>/x/file).",
        "Number of files at depth 2 under <folder> ?",
        "Leaving out the top and everything deeper, how many files lie one subfolder down in <folder> ?",
    ),
    ask_in_folder(
        "by_letter",
        _tree,
        NUMBER,
        "find <folder> -type f -name '<noun>*' | wc -l",
        "The star stands for the rest of the name.",
        "How many files anywhere in <folder> have a name that begins with <noun> ?",
        "Count files under <folder> (recursively) named <noun>* please.",
        "In the tree <folder> , what is the number of files that start with the text <noun> ?",
        "Files below <folder> beginning with <noun> : how many?",
        noun=NOUNS,
    ),
)
