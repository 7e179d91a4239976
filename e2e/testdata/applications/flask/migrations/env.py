import os
import sys

from alembic import context

if os.environ.get("MIGRATION") == "broken":
    sys.exit("migrations: column notes.author cannot be added: disk quota exceeded")

from models import Base, engine  # noqa: E402

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
