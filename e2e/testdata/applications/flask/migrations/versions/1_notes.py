"""notes and jobs"""
import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade():
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("payload", sa.String, nullable=False, unique=True),
        sa.Column("taken", sa.Integer, nullable=False, server_default="0"),
        sa.Column("done", sa.DateTime),
    )
    op.create_table(
        "ticks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("began", sa.DateTime, server_default=sa.func.now()),
        sa.Column("ended", sa.DateTime),
    )
