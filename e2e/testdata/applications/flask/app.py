import os

from flask import Flask, abort, jsonify, request, send_from_directory
from sqlalchemy import func, select, text
from werkzeug.utils import secure_filename

from models import Job, Note, Session, Tick, engine

UPLOADS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uploads")

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]


@app.get("/healthz")
def healthz():
    with engine.connect() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return jsonify(version=version, mark=os.environ.get("MARK", ""))


@app.get("/notes")
def notes():
    with Session() as session:
        return jsonify([{"text": note.text, "author": note.author} for note in session.scalars(select(Note))])


@app.post("/notes")
def write():
    with Session() as session:
        session.add(Note(text=request.json["text"]))
        session.commit()
    return jsonify(ok=True), 201


@app.post("/jobs")
def enqueue():
    with Session() as session:
        session.add(Job(payload=request.json["payload"]))
        session.commit()
    return jsonify(ok=True), 201


@app.get("/jobs")
def jobs():
    with Session() as session:
        return jsonify(
            total=session.scalar(select(func.count(Job.id))),
            done=session.scalar(select(func.count(Job.id)).where(Job.done.is_not(None))),
            twice=session.scalar(select(func.count(Job.id)).where(Job.taken > 1)),
        )


@app.get("/ticks")
def ticks():
    with Session() as session:
        return jsonify([{"name": tick.name, "ended": tick.ended is not None} for tick in session.scalars(select(Tick).order_by(Tick.id))])


@app.put("/uploads/<name>")
def upload(name):
    with open(os.path.join(UPLOADS, secure_filename(name)), "wb") as file:
        file.write(request.get_data())
    return jsonify(ok=True), 201


@app.get("/uploads/<name>")
def download(name):
    if secure_filename(name) != name:
        abort(404)
    return send_from_directory(UPLOADS, name)
