"""Generated tasks about users and groups."""

from collections import Counter

from envs.os_interaction.sandbox.base import USERS
from envs.os_interaction.tasks.table import Script
from envs.os_interaction.tasks.templates import Draw, Made, Template, script

SHELLS = ("/bin/bash", "/bin/sh", "/bin/dash", "/usr/sbin/nologin")
COMMENT = "added for this machine"


def _added(people: dict[str, tuple[int, str]], groups: dict[str, tuple[int, list[str]]] | None = None) -> str:
    """A script that adds people (number and shell) and groups (number and members)."""
    lines: list[str] = []
    for name, (number, shell) in people.items():
        lines.append(f"echo '{name}:x:{number}:{number}::/home/{name}:{shell}' >> /etc/passwd")
        lines.append(f"echo '{name}:x:{number}:' >> /etc/group; echo '{name}:!::' >> /etc/gshadow")
        lines.append(f"echo '{name}:!:19700:0:99999:7:::' >> /etc/shadow; mkdir -p /home/{name}")
    for group, (number, members) in (groups or {}).items():
        lines.append(f"echo '{group}:x:{number}:{','.join(members)}' >> /etc/group")
        lines.append(f"echo '{group}:!::{','.join(members)}' >> /etc/gshadow")
    return script(*lines)


def _people(draw: Draw, count: int) -> dict[str, tuple[int, str]]:
    numbers = draw.chance.sample(range(1001, 1900), count)
    return {
        name: (number, draw.one(SHELLS)) for name, number in zip(draw.people(count), numbers, strict=True)
    }


def _create(draw: Draw) -> Made:
    name, shell = draw.people(1)[0], draw.one(SHELLS[:3])
    check = script(
        f'[ "$(getent passwd {name} | cut -d: -f6,7)" = /home/{name}:{shell} ] || exit 1',
        f"[ -d /home/{name} ] && [ ! -L /home/{name} ]",
    )
    return Made({"user": name, "shell": shell}, "", check=[Script(check)])


def _shells(draw: Draw) -> Made:
    people = _people(draw, draw.number(3, 7))
    shell = draw.one([shell for _, shell in people.values()])
    counts = Counter(line.rpartition(":")[2] for line in USERS.strip().split("\n"))
    count = counts[shell] + sum(one == shell for _, one in people.values())
    return Made({"shell": shell, "someone": next(iter(people))}, _added(people), str(count))


def _number(draw: Draw) -> Made:
    people = _people(draw, 4)
    name = draw.one(list(people))
    return Made({"user": name}, _added(people), str(people[name][0]))


def _member(draw: Draw) -> Made:
    people = _people(draw, 4)
    group, other = draw.subjects(2)
    one, two, three, _ = people
    groups = {group: (2100, [one]), other: (2101, [two, three])}
    return Made({"group": group}, _added(people, groups), one)


def _join(draw: Draw) -> Made:
    people = _people(draw, 3)
    group, other = draw.subjects(2)
    one, two, _ = people
    groups = {group: (2100, [two]), other: (2101, [one])}
    check = script(
        f'members=$(getent group {group} | cut -d: -f4 | tr , "\\n" | sort | xargs)',
        f'[ "$members" = "{" ".join(sorted((one, two)))}" ] || exit 1',
        f'[ "$(getent group {other} | cut -d: -f4)" = {one} ]',
    )
    return Made({"user": one, "group": group}, _added(people, groups), check=[Script(check)])


def _delete(draw: Draw) -> Made:
    people = _people(draw, 3)
    one, *rest = people
    kept = [f"getent passwd {name} >/dev/null || exit 1" for name in ("root", *rest)]
    check = script(*kept, f"! getent passwd {one} >/dev/null")
    return Made({"user": one}, _added(people), check=[Script(check)])


def _change(draw: Draw) -> Made:
    people = _people(draw, 3)
    one, two, _ = people
    shell = draw.one([shell for shell in SHELLS if shell != people[one][1]])
    check = script(
        f'[ "$(getent passwd {one} | cut -d: -f7)" = {shell} ] || exit 1',
        f'[ "$(getent passwd {two} | cut -d: -f7)" = {people[two][1]} ]',
    )
    return Made({"user": one, "shell": shell}, _added(people), check=[Script(check)])


def _group(draw: Draw) -> Made:
    name, number = draw.subjects(1)[0], str(draw.number(2000, 2999))
    check = f'[ "$(getent group {name} | cut -d: -f3)" = {number} ]'
    return Made({"group": name, "number": number}, "", check=[Script(check)])


def _home(draw: Draw) -> Made:
    name, home = draw.people(1)[0], draw.folder()
    number = draw.number(1001, 1900)
    init = script(
        f"mkdir -p {home}", f"echo '{name}:x:{number}:100:{COMMENT}:{home}:/bin/bash' >> /etc/passwd"
    )
    return Made({"user": name}, init, home)


def _belongs(draw: Draw) -> Made:
    people = _people(draw, 3)
    names = draw.subjects(5)
    one, two, _ = people
    chosen = draw.number(1, 4)
    groups = {
        name: (2100 + at, [one, two] if at < chosen else [two])
        for at, name in enumerate(draw.many(names, len(names)))
    }
    return Made({"user": one}, _added(people, groups), str(chosen + 1))


TEMPLATES = (
    Template(
        "create",
        (
            "Create a user <user> with a home directory /home/<user> and the login shell <shell>",
            "Add the user <user> to the system: shell <shell> and home directory in the usual place.",
            "I need an account <user> whose shell is <shell> . Its home directory must be created too.",
        ),
        _create,
        "useradd -m -s <shell> <user>",
        "useradd -m makes the home directory, and -s sets the shell.",
        does=True,
    ),
    Template(
        "shells",
        (
            "How many users, <someone> included or not, have the login shell <shell> ?",
            "Look at all accounts, <someone> among them, and count those with the login shell <shell>",
            "Besides <someone> there are other users here. In all, how many accounts use the shell <shell> ?",
        ),
        _shells,
        "getent passwd | cut -d: -f7 | grep -cx <shell>",
        "The shell is the seventh field of the passwd database, and grep -x takes it as a whole.",
    ),
    Template(
        "number",
        (
            "What is the numeric user id of <user> ?",
            "Tell me the uid of the user <user>",
            "Which number does the account <user> have as its user id?",
        ),
        _number,
        "id -u <user>",
        "id -u prints the user id.",
    ),
    Template(
        "member",
        (
            "Who is the only member of the group <group> ? Answer with the name.",
            "Which user has been added to the group <group> ?",
            "The group <group> has one member. Name it.",
        ),
        _member,
        "getent group <group> | cut -d: -f4",
        "The fourth field of the group database has the members.",
    ),
    Template(
        "join",
        (
            "Add the user <user> to the group <group> and keep all other memberships.",
            "Make <user> a member of <group> without taking anybody out of any group.",
            "The user <user> should also belong to the group <group>",
        ),
        _join,
        "usermod -aG <group> <user>",
        "-aG adds a group; without -a the other groups would be lost.",
        "id <user>",
        does=True,
    ),
    Template(
        "delete",
        (
            "Delete the user <user> and leave all other users.",
            "Remove the account <user> from the system.",
            "The user <user> has left: take the account away, but nobody else's.",
        ),
        _delete,
        "userdel <user>",
        "userdel removes one account.",
        does=True,
    ),
    Template(
        "change",
        (
            "Change the login shell of <user> to <shell>",
            "Set the shell of the account <user> to <shell> and change no other account.",
            "From now on <user> should have the login shell <shell>",
        ),
        _change,
        "usermod -s <shell> <user>",
        "usermod -s sets the login shell of an existing user.",
        "getent passwd <user>",
        does=True,
    ),
    Template(
        "group",
        (
            "Create a group <group> with the group id <number>",
            "Add a new group named <group> whose numeric id is <number>",
            "I need the group <group> , with gid <number>",
        ),
        _group,
        "groupadd -g <number> <group>",
        "groupadd -g sets the number of the new group.",
        does=True,
    ),
    Template(
        "home",
        (
            "What is the home directory of the user <user> ?",
            "Where does <user> have the home directory? Answer with the full path.",
            "Tell me the path of the home directory that the account <user> has.",
        ),
        _home,
        "getent passwd <user> | cut -d: -f6",
        "The home directory is the sixth field of the passwd database.",
    ),
    Template(
        "belongs",
        (
            "To how many groups does the user <user> belong, the primary group included?",
            "Count the groups of <user> (all of them, with the primary one).",
            "In how many groups is <user> , if the primary group counts too?",
        ),
        _belongs,
        "id -Gn <user> | wc -w",
        "id -Gn lists the names of all groups, the primary one too.",
    ),
)
