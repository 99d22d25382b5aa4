"""Bulk exports, and indexes for the access log as AuditEvent and for the timeline by time"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.create_table(
        'export',
        sa.Column('id', TEXT, nullable=False),
        sa.Column('owner', TEXT, nullable=False),
        sa.Column('request', TEXT, nullable=False),
        sa.Column('types', TEXT, nullable=False),
        sa.Column('of_patients', sa.SmallInteger(), nullable=False),
        sa.Column('since', sa.BigInteger(), nullable=False),
        sa.Column('upto', sa.BigInteger(), nullable=False),
        sa.Column('at', sa.BigInteger(), nullable=False),
        sa.Column('expires', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('step_at', 'step', ['kind', 'at', 'key'], unique=False)
    op.create_index('audit_at', 'audit', ['at', 'key'], unique=False)
    op.create_index('audit_reader', 'audit', ['reader', 'at', 'key'], unique=False)


def downgrade() -> None:
    op.drop_index('audit_reader', 'audit')
    op.drop_index('audit_at', 'audit')
    op.drop_index('step_at', 'step')
    op.drop_table('export')
