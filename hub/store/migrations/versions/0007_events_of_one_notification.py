"""Several events may be of one notification: each says itself what it is about"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.add_column('feed_event', sa.Column('subject', TEXT, nullable=False, server_default=''))
    op.add_column('feed_event', sa.Column('version', sa.BigInteger(), nullable=False, server_default='0'))
    op.add_column('feed_event', sa.Column('at', sa.BigInteger(), nullable=False, server_default='0'))
    of_its_delivery = ', '.join(
        f'{ours} = (select {theirs} from delivery where delivery.id = feed_event.delivery)'
        for ours, theirs in (('subject', 'subject'), ('version', 'version'), ('at', 'created'))
    )
    op.execute(f'update feed_event set {of_its_delivery}')


def downgrade() -> None:
    for column in ('at', 'version', 'subject'):
        op.drop_column('feed_event', column)
