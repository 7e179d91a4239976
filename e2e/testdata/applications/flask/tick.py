"""Runs every minute, and takes a while. It notes which run it is: the Job's name, which is the Pod's but for its last word."""
import socket
import time

from sqlalchemy import func

from models import Session, Tick

name = socket.gethostname().rpartition("-")[0]
with Session() as session:
    tick = Tick(name=name)
    session.add(tick)
    session.commit()
    time.sleep(15)
    tick.ended = func.now()
    session.commit()
print("tick:", name)
