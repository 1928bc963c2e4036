"""The language of the shell's actions: a script in a line or in a block, an answer, or the end.

It is the same in every state: nothing but the form of a script can be known before it runs.
"""

LINE = r"[ \t]*(?:[^ \t\n`][^\n]*)?\n"
"""A line of a block: it does not begin as the end of the block does."""
BLOCK = rf"(?:bash\n)?```bash\n[^ \t\n`][^\n]*\n(?:{LINE})*```"
TEXT = r"[^\n ][^\n]*"
GRAMMAR = rf"(?:bash: [^\n `][^\n]*|{BLOCK}|answer\({TEXT}\)|finish)"
