"""Contents too large for one row lie in pieces beside it; those stored before stay as they are"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.create_table(
        'piece',
        sa.Column('content', TEXT, nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.Column('body', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(['content'], ['content.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('content', 'number'),
    )


def downgrade() -> None:
    op.drop_table('piece')
