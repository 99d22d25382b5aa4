"""Live subscriptions, and which deliveries are events of which"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.create_table(
        'feed',
        sa.Column('id', TEXT, nullable=False),
        sa.Column('status', TEXT, nullable=False),
        sa.Column('reader', TEXT, nullable=False),
        sa.Column('scopes', TEXT, nullable=False),
        sa.Column('hidden', sa.LargeBinary(), nullable=False),
        sa.Column('events', sa.BigInteger(), nullable=False),
        sa.Column('period', sa.BigInteger(), nullable=False),
        sa.Column('beat_at', sa.BigInteger(), nullable=True),
        sa.Column('ends', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_table(
        'feed_event',
        sa.Column('feed', TEXT, nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.Column('delivery', TEXT, nullable=False),
        sa.PrimaryKeyConstraint('feed', 'number'),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table('feed_event')
    op.drop_table('feed')
