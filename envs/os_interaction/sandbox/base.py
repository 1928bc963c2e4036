"""What a new sandbox holds: the host's programs, read-only, and a small Debian of our own around them.

No file of the host's is in it but what is under `/usr` (programs, libraries, headers, documentation; not
`/usr/local`). `/etc`, `/home`, `/root`, `/tmp`, `/var` and all else are made here.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "sandbox"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TRUSTED_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
"""Of checkers: what an agent has put into /usr/local is found last."""
ENVIRON = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "PATH": PATH,
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "HOSTNAME": HOST,
}
WRITABLE_USR = frozenset(("etc", "games", "local", "src"))
_FOLDERS = """boot etc/alternatives etc/apt etc/cron.d etc/default etc/init.d etc/ld.so.conf.d etc/pam.d
etc/profile.d etc/security etc/skel etc/ssl home media mnt opt run run/lock srv usr/games usr/local
usr/local/bin usr/local/etc usr/local/include usr/local/lib usr/local/sbin usr/local/share
usr/local/src usr/src var var/backups var/cache var/lib var/lib/misc var/local var/log var/mail
var/opt var/spool var/spool/cron var/log/apt"""
FOLDERS = tuple(_FOLDERS.split())
SHARED = ("tmp", "var/tmp")
LINKS = {
    "etc/mtab": "/proc/self/mounts",
    "etc/os-release": "../usr/lib/os-release",
    "dev/fd": "/proc/self/fd",
    "dev/stdin": "/proc/self/fd/0",
    "dev/stdout": "/proc/self/fd/1",
    "dev/stderr": "/proc/self/fd/2",
    "var/run": "/run",
    "var/lock": "/run/lock",
    "var/spool/mail": "../mail",
}
USERS = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
games:x:5:60:games:/usr/games:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
news:x:9:9:news:/var/spool/news:/usr/sbin/nologin
uucp:x:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin
proxy:x:13:13:proxy:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
list:x:38:38:Mailing List Manager:/var/list:/usr/sbin/nologin
irc:x:39:39:ircd:/run/ircd:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUPS = """root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 news:9 uucp:10 man:12 proxy:13 kmem:15
dialout:20 fax:21 voice:22 cdrom:24 floppy:25 tape:26 sudo:27 audio:29 dip:30 www-data:33 backup:34
operator:37 list:38 irc:39 src:40 shadow:42 utmp:43 video:44 sasl:45 plugdev:46 staff:50 games:60
users:100 nogroup:65534"""
GROUPS = tuple(_GROUPS.split())
PAM = (
    "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession sufficient pam_permit.so\n"
    + ("password required pam_unix.so obscure yescrypt\n")
)
PAM_SERVICES = (
    "other",
    "su",
    "su-l",
    "passwd",
    "login",
    "chfn",
    "chsh",
    "chpasswd",
    "newusers",
    "runuser",
    "runuser-l",
)
FILES = {
    "etc/passwd": USERS,
    "etc/group": "".join(f"{name.replace(':', ':x:')}:\n" for name in GROUPS),
    "etc/shadow": "".join(
        f"{line.partition(':')[0]}:*:19700:0:99999:7:::\n" for line in USERS.strip().split("\n")
    ),
    "etc/gshadow": "".join(f"{name.partition(':')[0]}:*::\n" for name in GROUPS),
    "etc/subuid": "",
    "etc/subgid": "",
    "etc/hostname": f"{HOST}\n",
    "etc/hosts": f"127.0.0.1\tlocalhost\n127.0.1.1\t{HOST}\n::1\tlocalhost\n",
    "etc/resolv.conf": "",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\ngshadow: files\nhosts: files\n"
    "networks: files\nprotocols: files\nservices: files\n",
    "etc/shells": "/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/dash\n/usr/bin/dash\n",
    "etc/profile": f'PATH="{PATH}"\nexport PATH\n',
    "etc/bash.bashrc": "",
    "etc/environment": f'PATH="{PATH}"\n',
    "etc/login.defs": "MAIL_DIR /var/mail\nUID_MIN 1000\nUID_MAX 60000\nSYS_UID_MIN 100\nSYS_UID_MAX 999\n"
    "GID_MIN 1000\nGID_MAX 60000\nSYS_GID_MIN 100\nSYS_GID_MAX 999\nUSERGROUPS_ENAB yes\n"
    "ENCRYPT_METHOD YESCRYPT\nHOME_MODE 0755\nPASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\n"
    f"ENV_SUPATH PATH={PATH}\nENV_PATH PATH={PATH}\n",
    "etc/default/useradd": "SHELL=/bin/sh\n",
    "etc/adduser.conf": "DSHELL=/bin/bash\nDHOME=/home\n",
    "etc/ld.so.conf": "",
    "etc/fstab": "",
    "etc/crontab": "",
    "etc/debian_version": "12.0\n",
    "etc/issue": "Debian GNU/Linux 12\n",
    "etc/machine-id": f"{'0' * 31}1\n",
    "etc/protocols": "ip\t0\tIP\nicmp\t1\tICMP\ntcp\t6\tTCP\nudp\t17\tUDP\n",
    "etc/services": "ssh\t22/tcp\ndomain\t53/udp\nhttp\t80/tcp\nhttps\t443/tcp\n",
    "etc/timezone": "Etc/UTC\n",
    "var/log/alternatives.log": "update-alternatives 2024-05-02 09:14:11: run with --install awk\n",
    "var/log/bootstrap.log": "2024-05-02 09:13:58 base system unpacked\n",
    "var/log/dpkg.log": "2024-05-02 09:14:02 startup archives unpack\n"
    "2024-05-02 09:14:09 status installed bash\n",
    "var/log/apt/history.log": "Start-Date: 2024-05-02  09:14:01\nEnd-Date: 2024-05-02  09:14:10\n",
    "root/.bashrc": "",
    "root/.profile": "",
    "etc/skel/.bashrc": "",
    "etc/skel/.profile": "",
    **{f"etc/pam.d/{service}": PAM for service in PAM_SERVICES},
}
SECRET = frozenset(("etc/shadow", "etc/gshadow"))
RESTORED = (
    "etc/alternatives",
    "etc/bash.bashrc",
    "etc/ld.so.conf",
    "etc/nsswitch.conf",
    "etc/environment",
    "etc/profile",
    "dev",
)
"""What a checker's programs are found and read by."""
REMOVED = (
    "etc/ld.so.preload",
    "etc/ld.so.cache",
    "etc/ld.so.conf.d/*",
    "etc/profile.d/*",
    "etc/perl",
    "etc/python3*",
    "usr/local/lib/python*",
    "usr/local/lib/*/perl*",
    "usr/local/share/perl*",
    "root/.local/lib/python*",
)

Line = tuple[str, str, int, str]
"""A path, its kind, its mode and its content."""


@dataclass(frozen=True)
class Base:
    """What every new sandbox holds."""

    binds: list[tuple[str, str]]
    """Folders of the host and where they are shown."""
    tree: list[Line]
    trusted: list[str]
    """Paths that a checker gets as they were, whatever an agent made of them."""
    removed: list[str]
    """Patterns of what a checker does not get."""

    @classmethod
    def read(cls) -> "Base":
        """What this host has."""
        roots = ["bin", "sbin", *sorted(name for name in os.listdir("/") if name.startswith("lib"))]
        links = {name: os.readlink(f"/{name}") for name in roots if os.path.islink(f"/{name}")}
        binds = [(f"/{name}", name) for name in roots if name not in links and os.path.isdir(f"/{name}")]
        for entry in sorted(os.scandir("/usr"), key=lambda entry: entry.name):
            if entry.name not in WRITABLE_USR and entry.is_dir(follow_symlinks=False):
                binds.append((entry.path, f"usr/{entry.name}"))
        tree: list[Line] = [(path, "folder", 0o755, "") for path in FOLDERS]
        tree += [(path, "folder", 0o1777, "") for path in SHARED]
        tree.append(("root", "folder", 0o700, ""))
        tree += [(path, "symlink", 0, to) for path, to in (LINKS | links).items()]
        tree += [(path, "file", 0o600 if path in SECRET else 0o644, text) for path, text in FILES.items()]
        tree += [(f"etc/alternatives/{name}", "symlink", 0, to) for name, to in _alternatives()]
        return cls(binds, tree, [*links, *RESTORED], list(REMOVED))

    def describe(self) -> dict[str, Any]:
        """As process 1 of a sandbox reads it."""
        return {"binds": self.binds, "tree": self.tree, "host": HOST}


def _alternatives() -> list[tuple[str, str]]:
    """Debian's names of programs that several packages have, such as `awk`."""
    found: list[tuple[str, str]] = []
    folder = Path("/etc/alternatives")
    for link in sorted(folder.iterdir()) if folder.is_dir() else ():
        to = os.readlink(link) if link.is_symlink() else ""
        if to.startswith(("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")):
            found.append((link.name, to))
    return found
