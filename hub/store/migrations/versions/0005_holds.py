"""Seats that are held for a while"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0001'


def upgrade() -> None:
    op.add_column('seat', sa.Column('until', sa.BigInteger(), server_default='0', nullable=False))
    op.create_index(
        'seat_until', 'seat', ['until'], unique=False, sqlite_where=sa.text('until > 0'), postgresql_where=sa.text('until > 0'),
    )


def downgrade() -> None:
    raise NotImplementedError('a held seat would become a taken one')
