"""notes have an author"""
import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade():
    op.add_column("notes", sa.Column("author", sa.String, nullable=False, server_default="anonymous"))
