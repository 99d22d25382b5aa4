"""What may be used once: proofs and assertions"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.create_table(
        'used_once',
        sa.Column('key', TEXT, nullable=False),
        sa.Column('until', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('key'),
        sqlite_with_rowid=False,
    )
    op.create_index('used_once_until', 'used_once', ['until'], unique=False)


def downgrade() -> None:
    op.drop_table('used_once')
