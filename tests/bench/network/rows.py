"""The application beside esink in the network benchmarks: takes lines on a port, `* TEXT` or `USER TEXT`, and commits what
comes up to a line `.` as rows of one transaction, in an SQLite file that esink watches.

    rows.py FILE PORT TOKENS    makes the tables, with so many tokens `token-0`, .., prints a line when it listens
"""
import socket
import sqlite3
import sys

path, port, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None, timeout=10)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = OFF")
db.execute("CREATE TABLE feed (id INTEGER PRIMARY KEY, body TEXT)")
db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, owner INT, body TEXT)")
db.execute("CREATE TABLE auth (id INT, token TEXT)")
db.execute("CREATE UNIQUE INDEX auth_token ON auth (token)")
db.execute("BEGIN")
db.executemany("INSERT INTO auth VALUES (?, ?)", ((i, f"token-{i}") for i in range(tokens)))
db.execute("COMMIT")


def commit(lines):
    everyone = [(line[2:],) for line in lines if line[0] == "*"]
    single = [line.split(" ", 1) for line in lines if line[0] != "*"]
    db.execute("BEGIN IMMEDIATE")
    if everyone:
        db.executemany("INSERT INTO feed (body) VALUES (?)", everyone)
    if single:
        db.executemany("INSERT INTO notes (owner, body) VALUES (?, ?)", single)
    db.execute("COMMIT")


server = socket.create_server(("127.0.0.1", port))
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    batch, rest = [], ""
    while data := connection.recv(1 << 20):
        *lines, rest = (rest + data.decode()).split("\n")
        for line in lines:
            if line == ".":
                commit(batch)
                batch = []
            else:
                batch.append(line)
