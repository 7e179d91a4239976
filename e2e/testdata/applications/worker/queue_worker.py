"""Moves numbers from one list of Valkey to another, one at a time, losing none."""
import os
import signal

import redis

queue = redis.Redis.from_url(os.environ["REDIS_URL"], health_check_interval=5)
stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
print("worker: ready")
while not stopping:
    queue.blmove("todo", "done", 1, "LEFT", "RIGHT")
print("worker: done")
