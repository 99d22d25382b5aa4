"""Files of messages have room of their own"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.create_table(
        'attachment',
        sa.Column('id', TEXT, nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.Column('message', TEXT, nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.Column('content_key', TEXT, nullable=False),
        sa.Column('body', sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint('id', 'number'),
    )
    op.create_index('attachment_message', 'attachment', ['message'])


def downgrade() -> None:
    op.drop_table('attachment')
