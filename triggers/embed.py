#!/usr/bin/env python3
"""Turns SQL files into one C file of string constants: embed.py OUT.c OUT.h FILE.sql...
postgres/schema.sql becomes `const char sql_postgres_schema[]`. The files stay readable and can be run alone."""
import pathlib
import sys

out_c, out_h, *files = sys.argv[1:]
code, heads = [], []
for file in files:
    path = pathlib.Path(file)
    name = f"sql_{path.parent.name}_{path.stem}"
    lines = path.read_text().splitlines(keepends=True)
    quoted = "\n".join('\t"' + l.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"' for l in lines)
    code.append(f"const char {name}[] =\n{quoted};\n")
    heads.append(f"extern const char {name}[];\n")
pathlib.Path(out_c).write_text('#include "sql.h"\n\n' + "\n".join(code))
pathlib.Path(out_h).write_text("#ifndef ESINK_SQL_H\n#define ESINK_SQL_H\n\n" + "".join(heads) + "\n#endif\n")
