"""put.py COUNT puts numbers into the queue; put.py says how many came out, and how many of them differ."""
import os
import sys

import redis

queue = redis.Redis.from_url(os.environ["REDIS_URL"])
if len(sys.argv) > 1:
    queue.rpush("todo", *range(int(sys.argv[1])))
done = queue.lrange("done", 0, -1)
print(f"{len(done)} done, {len(set(done))} different")
