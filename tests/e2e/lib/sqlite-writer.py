"""A writer of the randomised test: transactions over a small shared table, each change noted in `ops` in the same transaction,
until the file given last exists or somebody kills it. Some use savepoints, some roll back, some hold the lock for a while."""
import os
import random
import sqlite3
import sys
import time

path, number, seed, stop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
random.seed(seed)
connection = sqlite3.connect(path, isolation_level=None, timeout=30)
connection.execute(f"PRAGMA synchronous = {random.choice(['NORMAL', 'FULL', 'OFF'])}")
connection.execute(f"PRAGMA cache_size = {random.choice([10, 2000])}")  # 10 pages: big transactions spill into the log


def change(n):
    cell, op = random.randint(1, 40), f"{number}-{seed}-{n}"
    kind = random.choices(["update", "insert", "delete"], [6, 3, 1])[0]
    row = connection.execute("SELECT version FROM cells WHERE id = ?", (cell,)).fetchone()
    if kind == "update" and row:
        connection.execute("UPDATE cells SET version = version + 1, op = ?, body = ? WHERE id = ?", (op, "x" * random.choice([1, 50, 9000]), cell))
        connection.execute("INSERT INTO ops VALUES (?, ?, 'update', ?)", (op, cell, row[0] + 1))
    elif kind == "insert":
        new = connection.execute("INSERT INTO cells (version, op, body) VALUES (0, ?, ?)", (op, os.urandom(20))).lastrowid
        connection.execute("INSERT INTO ops VALUES (?, ?, 'insert', 0)", (op, new))


n = 0
while not os.path.exists(stop):
    try:
        connection.execute(random.choice(["BEGIN", "BEGIN IMMEDIATE"]))
        for _ in range(random.choice([1, 1, 2, 5, 60])):
            n += 1
            if random.random() < .2:
                connection.execute("SAVEPOINT s")
                change(n)
                connection.execute(random.choice(["ROLLBACK TO s", "RELEASE s"]))
            else:
                change(n)
        if random.random() < .05:
            time.sleep(random.random() * .05)
        connection.execute("ROLLBACK" if random.random() < .25 else "COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    time.sleep(random.random() * .004)
