#!/usr/bin/env python3
"""Turns the files of the live page into one C file: embed.py OUT.c PATH=FILE...
Each becomes an entry of page_files[] (src/transport/page.h) with its media type and an ETag, which is a hash of its bytes: a
browser that has it asks with If-None-Match and is told 304. The files stay readable and need no build step of their own."""
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml"}
ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\t"): "\\t", ord("?"): "\\?"}


def literal(line):
    """One line of bytes as a C string; octal escapes end after three digits, whatever follows."""
    return "".join(ESCAPES.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in line)


def pieces(content):
    """Lines, cut where a minified one is long: compilers dislike strings of 50 kB in one piece."""
    for line in content.splitlines(keepends=True):
        for at in range(0, len(line), 400):
            yield line[at:at + 400]


out, *files = sys.argv[1:]
code = ['/* Made by src/web/embed.py. */\n#include "transport/page.h"\n\nconst struct page_file page_files[] = {']
for pair in files:
    path, file = pair.split("=", 1)
    content = pathlib.Path(file).read_bytes()
    etag = hashlib.sha256(content).hexdigest()[:20]
    quoted = "\n".join(f'\t\t"{literal(piece)}"' for piece in pieces(content))
    code.append(f'\t{{"{path}", "{TYPES[pathlib.Path(file).suffix]}", "\\"{etag}\\"", {{\n{quoted},\n\t\t{len(content)}}}}},')
code.append("};\nconst size_t page_file_count = sizeof(page_files) / sizeof(*page_files);\n")
pathlib.Path(out).write_text("\n".join(code))
