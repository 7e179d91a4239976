"""What is stored. The tables are made by the migrations."""
import os

from sqlalchemy import Column, DateTime, Integer, String, create_engine, func
from sqlalchemy.orm import declarative_base, sessionmaker

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///notes.sqlite"), pool_pre_ping=True)
Session = sessionmaker(engine)
Base = declarative_base()


class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    text = Column(String, nullable=False)
    # Added by the second migration.
    author = Column(String, nullable=False, server_default="anonymous")


class Job(Base):
    __tablename__ = "jobs"
    id = Column(Integer, primary_key=True)
    payload = Column(String, nullable=False, unique=True)
    taken = Column(Integer, nullable=False, server_default="0")
    done = Column(DateTime)


class Tick(Base):
    """A run of tick.py. The unique name makes a doubled run an error."""
    __tablename__ = "ticks"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False, unique=True)
    began = Column(DateTime, server_default=func.now())
    ended = Column(DateTime)
