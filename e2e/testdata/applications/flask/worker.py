"""Takes jobs from the table until it is told to stop, and finishes the one in hand."""
import os
import signal
import sys
import time

from sqlalchemy import func, select

from models import Job, Session

stopping = False


def stop(*_):
    global stopping
    stopping = True


def work():
    with Session() as session:
        job = session.scalars(select(Job).where(Job.done.is_(None)).order_by(Job.id).limit(1).with_for_update(skip_locked=True)).first()
        if job is None:
            return False
        job.taken += 1
        time.sleep(0.2)
        job.done = func.now()
        session.commit()
        return True


if os.environ.get("WORKER") == "broken":
    sys.exit("worker: there is no queue named " + repr(os.environ.get("QUEUE")))
signal.signal(signal.SIGTERM, stop)
print("worker: ready", flush=True)
while not stopping:
    if not work():
        time.sleep(0.5)
print("worker: done", flush=True)
