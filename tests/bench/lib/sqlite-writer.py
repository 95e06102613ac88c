"""The writer of lib/sqlite-load.mjs: a line of JSON in, a line of JSON out. One UPDATE of one row a transaction."""
import json
import random
import sqlite3
import sys
import time

open_files = {}


def connect(path, cached=128):
    key = (path, cached)
    if key not in open_files:
        open_files[key] = sqlite3.connect(path, isolation_level=None, timeout=10, cached_statements=cached)
    return open_files[key]


def make(path):
    c = connect(path)
    c.execute("PRAGMA journal_mode = WAL")
    c.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner INT, balance INT, filler TEXT, created TEXT)")
    c.execute("CREATE TABLE auth (id INT, token TEXT)")
    c.execute("INSERT INTO auth VALUES (1, 'token-of-user-1')")
    c.execute("BEGIN")
    c.executemany("INSERT INTO accounts VALUES (?, ?, 0, ?, datetime())", ((i, i % 100, "x" * 80) for i in range(1, 20001)))
    c.execute("COMMIT")
    return True


def update(path, synchronous, n, cached=128):
    c = connect(path, cached)
    c.execute(f"PRAGMA synchronous = {synchronous}")
    ids = [random.randint(1, 20000) for _ in range(n)]
    start, cpu = time.perf_counter(), time.process_time()
    for i in ids:
        c.execute("UPDATE accounts SET balance = balance + 1 WHERE id = ?", (i,))
    return {"rate": n / (time.perf_counter() - start), "cpu": (time.process_time() - cpu) / n * 1e6}


def bulk(path, synchronous, n):
    c = connect(path)
    start, cpu = time.perf_counter(), time.process_time()
    c.execute("INSERT INTO accounts (owner, balance, filler, created) SELECT owner, 0, filler, created FROM accounts LIMIT ?", (n,))
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    c.execute("DELETE FROM accounts WHERE id > 20000")
    return {"rate": n / took, "cpu": cpu / n * 1e6}


def stamped(path, synchronous, n, rate):
    """n updates, so many a second; each row says when it was written, in microseconds of the system's clock."""
    c = connect(path)
    c.execute(f"PRAGMA synchronous = {synchronous}")
    start = time.perf_counter()
    for i in range(n):
        time.sleep(max(0, start + i / rate - time.perf_counter()))
        c.execute("UPDATE moves SET at = ? WHERE id = ?", (time.time_ns() // 1000, random.randint(1, 1000)))
    return time.perf_counter() - start


calls = {"make": make, "update": update, "bulk": bulk, "stamped": stamped, "uncached": lambda path, s, n: update(path, s, n, 0)}
for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(calls[name](*arguments)), flush=True)
