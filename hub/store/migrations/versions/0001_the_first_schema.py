"""The first schema"""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
SERIAL = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
LOGS = ('audit', 'audit_seal', 'version')
"""Tables that only grow: the database itself refuses to change or delete their rows."""


def upgrade() -> None:
    op.create_table('adapter_version',
    sa.Column('adapter', TEXT, nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('text', TEXT, nullable=False),
    sa.Column('since', sa.BigInteger(), nullable=False),
    sa.Column('by', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('adapter', 'version')
    )
    op.create_table('audit',
    sa.Column('key', SERIAL, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('person', TEXT, nullable=False),
    sa.Column('reader', TEXT, nullable=False),
    sa.Column('ground', TEXT, nullable=False),
    sa.Column('kind', TEXT, nullable=False),
    sa.Column('on_behalf_of', TEXT, nullable=False),
    sa.Column('channel', TEXT, nullable=False),
    sa.Column('given', sa.SmallInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    with op.batch_alter_table('audit', schema=None) as batch_op:
        batch_op.create_index('audit_person', ['person', 'key'], unique=False)

    op.create_table('audit_seal',
    sa.Column('number', SERIAL, nullable=False),
    sa.Column('upto', sa.BigInteger(), nullable=False),
    sa.Column('lines', sa.BigInteger(), nullable=False),
    sa.Column('digest', TEXT, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('number')
    )
    op.create_table('content',
    sa.Column('id', TEXT, nullable=False),
    sa.Column('kind', TEXT, nullable=False),
    sa.Column('head', sa.LargeBinary(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('packed', sa.SmallInteger(), nullable=False),
    sa.Column('content_key', TEXT, nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('content', schema=None) as batch_op:
        batch_op.create_index('content_expires', ['expires'], unique=False)

    op.create_table('delivery',
    sa.Column('number', SERIAL, nullable=False),
    sa.Column('id', TEXT, nullable=False),
    sa.Column('adapter', TEXT, nullable=False),
    sa.Column('function', TEXT, nullable=False),
    sa.Column('subject', TEXT, nullable=False),
    sa.Column('state', TEXT, nullable=False),
    sa.Column('due_at', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('key', TEXT, nullable=True),
    sa.Column('conversation', TEXT, nullable=False),
    sa.Column('refers_to', TEXT, nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('answer_due', sa.SmallInteger(), nullable=False),
    sa.Column('content', TEXT, nullable=True),
    sa.Column('parcel', TEXT, nullable=True),
    sa.Column('note', TEXT, nullable=False),
    sa.Column('owner', TEXT, nullable=True),
    sa.Column('lease_until', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('number'),
    sa.UniqueConstraint('id', name='delivery_id')
    )
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.create_index('delivery_claim', ['adapter', 'due_at', 'number'], unique=False, sqlite_where=sa.text("state in ('due', 'sent', 'arrived')"), postgresql_where=sa.text("state in ('due', 'sent', 'arrived')"))
        batch_op.create_index('delivery_order', ['adapter', 'key', 'number'], unique=False, sqlite_where=sa.text("state in ('due', 'sent') and key is not null"), postgresql_where=sa.text("state in ('due', 'sent') and key is not null"))
        batch_op.create_index('delivery_state', ['state', 'adapter', 'number'], unique=False)
        batch_op.create_index('delivery_subject', ['subject', 'number'], unique=False)

    op.create_table('envelope',
    sa.Column('key', SERIAL, nullable=False),
    sa.Column('sender', TEXT, nullable=False),
    sa.Column('id', TEXT, nullable=False),
    sa.Column('digest', TEXT, nullable=False),
    sa.Column('adapter', TEXT, nullable=False),
    sa.Column('direction', TEXT, nullable=False),
    sa.Column('received', sa.BigInteger(), nullable=False),
    sa.Column('function', TEXT, nullable=False),
    sa.Column('conversation', TEXT, nullable=False),
    sa.Column('refers_to', TEXT, nullable=True),
    sa.Column('problem', TEXT, nullable=True),
    sa.Column('verdict', TEXT, nullable=False),
    sa.Column('remarks', TEXT, nullable=False),
    sa.Column('content', TEXT, nullable=True),
    sa.Column('reply', TEXT, nullable=True),
    sa.PrimaryKeyConstraint('key'),
    sa.UniqueConstraint('sender', 'id', name='envelope_sender_id')
    )
    with op.batch_alter_table('envelope', schema=None) as batch_op:
        batch_op.create_index('envelope_adapter', ['adapter', 'key'], unique=False)
        batch_op.create_index('envelope_problem', ['problem', 'key'], unique=False, sqlite_where=sa.text('problem is not null'), postgresql_where=sa.text('problem is not null'))

    op.create_table('house_note',
    sa.Column('name', TEXT, nullable=False),
    sa.Column('value', TEXT, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name')
    )
    op.create_table('index_date',
    sa.Column('param', TEXT, nullable=False),
    sa.Column('low', sa.BigInteger(), nullable=False),
    sa.Column('high', sa.BigInteger(), nullable=False),
    sa.Column('resource', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('param', 'low', 'high', 'resource'),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('index_date', schema=None) as batch_op:
        batch_op.create_index('index_date_resource', ['resource', 'param'], unique=False)

    op.create_table('index_reference',
    sa.Column('param', TEXT, nullable=False),
    sa.Column('target', TEXT, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('resource', sa.BigInteger(), nullable=False),
    sa.Column('kind', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('param', 'target', 'at', 'resource', 'kind'),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('index_reference', schema=None) as batch_op:
        batch_op.create_index('index_reference_resource', ['resource'], unique=False)

    op.create_table('index_string',
    sa.Column('param', TEXT, nullable=False),
    sa.Column('value', TEXT, nullable=False),
    sa.Column('resource', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('param', 'value', 'resource'),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('index_string', schema=None) as batch_op:
        batch_op.create_index('index_string_resource', ['resource', 'param'], unique=False)

    op.create_table('index_token',
    sa.Column('param', TEXT, nullable=False),
    sa.Column('value', TEXT, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('resource', sa.BigInteger(), nullable=False),
    sa.Column('system', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('param', 'value', 'at', 'resource', 'system'),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('index_token', schema=None) as batch_op:
        batch_op.create_index('index_token_resource', ['resource'], unique=False)

    op.create_table('resource',
    sa.Column('key', SERIAL, nullable=False),
    sa.Column('type', TEXT, nullable=False),
    sa.Column('id', TEXT, nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('last_updated', sa.BigInteger(), nullable=False),
    sa.Column('deleted', sa.SmallInteger(), nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('origin', TEXT, nullable=False),
    sa.Column('body', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('key'),
    sa.UniqueConstraint('type', 'id', name='resource_type_id')
    )
    with op.batch_alter_table('resource', schema=None) as batch_op:
        batch_op.create_index('resource_at', ['type', 'at', 'key'], unique=False, sqlite_where=sa.text('deleted = 0'), postgresql_where=sa.text('deleted = 0'))
        batch_op.create_index('resource_updated', ['type', 'last_updated', 'key'], unique=False, sqlite_where=sa.text('deleted = 0'), postgresql_where=sa.text('deleted = 0'))

    op.create_table('seat',
    sa.Column('slot', TEXT, nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('holder', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('slot', 'number'),
    sa.UniqueConstraint('holder', 'slot', name='seat_holder_slot'),
    sqlite_with_rowid=False
    )
    op.create_table('session',
    sa.Column('token', TEXT, nullable=False),
    sa.Column('subject', TEXT, nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('seen', sa.BigInteger(), nullable=False),
    sa.Column('expires', sa.BigInteger(), nullable=False),
    sa.Column('provider_session', TEXT, nullable=False),
    sa.Column('data', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('token')
    )
    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.create_index('session_expires', ['expires'], unique=False)
        batch_op.create_index('session_provider', ['provider_session'], unique=False)

    op.create_table('step',
    sa.Column('key', SERIAL, nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('subject', TEXT, nullable=False),
    sa.Column('kind', TEXT, nullable=False),
    sa.Column('text', TEXT, nullable=False),
    sa.Column('delivery', TEXT, nullable=True),
    sa.Column('envelope', sa.BigInteger(), nullable=True),
    sa.Column('origin', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('key')
    )
    with op.batch_alter_table('step', schema=None) as batch_op:
        batch_op.create_index('step_delivery', ['delivery', 'key'], unique=False, sqlite_where=sa.text('delivery is not null'), postgresql_where=sa.text('delivery is not null'))
        batch_op.create_index('step_subject', ['subject', 'key'], unique=False)

    op.create_table('version',
    sa.Column('seq', SERIAL, nullable=False),
    sa.Column('type', TEXT, nullable=False),
    sa.Column('id', TEXT, nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('method', TEXT, nullable=False),
    sa.Column('last_updated', sa.BigInteger(), nullable=False),
    sa.Column('origin', TEXT, nullable=False),
    sa.Column('body', TEXT, nullable=False),
    sa.PrimaryKeyConstraint('seq'),
    sa.UniqueConstraint('type', 'id', 'version', name='version_type_id_version')
    )
    only_growing()


def only_growing() -> None:
    if op.get_bind().dialect.name == 'sqlite':
        for table in LOGS:
            for what in ('update', 'delete'):
                op.execute(f"create trigger {table}_no_{what} before {what} on {table} begin select raise(abort, '{table} only grows'); end")
        return
    op.execute("create function only_grows() returns trigger language plpgsql as $$ begin raise exception '% only grows', tg_table_name; end $$")
    for table in LOGS:
        op.execute(f"create trigger {table}_only_grows before update or delete or truncate on {table} execute function only_grows()")
    op.execute("alter table delivery set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)")



def downgrade() -> None:
    raise NotImplementedError('the first schema has nothing before it')
