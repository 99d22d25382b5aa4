"""Seats that are held for a while; what may be used once"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0001'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.add_column('seat', sa.Column('until', sa.BigInteger(), server_default='0', nullable=False))
    op.create_index(
        'seat_until', 'seat', ['until'], unique=False, sqlite_where=sa.text('until > 0'), postgresql_where=sa.text('until > 0'),
    )
    op.create_table(
        'used_once',
        sa.Column('key', TEXT, nullable=False),
        sa.Column('until', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('key'),
        sqlite_with_rowid=False,
    )
    op.create_index('used_once_until', 'used_once', ['until'], unique=False)


def downgrade() -> None:
    raise NotImplementedError('a held seat would become a taken one')
