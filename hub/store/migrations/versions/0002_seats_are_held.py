"""Seats can be held for a while before they are booked"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'

HELD = sa.text('until is not null')


def upgrade() -> None:
    op.add_column('seat', sa.Column('until', sa.BigInteger(), nullable=True))
    op.create_index('seat_until', 'seat', ['until'], sqlite_where=HELD, postgresql_where=HELD)


def downgrade() -> None:
    op.drop_index('seat_until', 'seat')
    op.drop_column('seat', 'until')
