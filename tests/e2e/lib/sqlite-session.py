"""One connection to an SQLite file for the tests: a line of JSON in, {"sql", "values"}, a line of JSON out, {"rows"} or {"error"}.
A real process of its own, so that it can be killed in the middle of a transaction as an application can."""
import base64
import json
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=float(sys.argv[2]) / 1000)
connection.text_factory = lambda raw: raw.decode(errors="replace")


def value(v):
    return {"base64": base64.b64encode(v).decode()} if isinstance(v, bytes) else v


def statements(script):
    """Split as sqlite3's shell does: a statement ends where SQLite calls it complete."""
    at = ""
    for part in script.split(";"):
        at += part + ";"
        if sqlite3.complete_statement(at):
            if at.strip(" \t\n;"):
                yield at
            at = ""
    if at.strip(" \t\n;"):
        yield at.rstrip().removesuffix(";")


def run(request):
    rows, count = [], 0
    for name, limit in (request.get("limits") or {}).items():
        connection.setlimit(getattr(sqlite3, "SQLITE_LIMIT_" + name), limit)
    parts = list(statements(request["sql"]))
    for sql in parts:
        values = request.get("values") or []
        cursor = connection.execute(sql, {str(i + 1): v for i, v in enumerate(values)} if values else ())
        found = cursor.fetchall()
        count = cursor.rowcount if cursor.rowcount >= 0 else len(found)
        if cursor.description:
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, map(value, row))) for row in found]
    return {"rows": rows, "rowCount": len(rows) or count}


for line in sys.stdin:
    try:
        answer = run(json.loads(line))
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
