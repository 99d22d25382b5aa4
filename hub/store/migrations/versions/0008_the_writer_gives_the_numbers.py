"""The writer itself numbers versions and resources, so that their rows can wait for one another: PostgreSQL gives none any more"""

from alembic import op

revision = '0008'
down_revision = '0007'

NUMBERED = (('version', 'seq'), ('resource', 'key'))


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for table, column in NUMBERED:
            op.execute(f'alter table {table} alter column {column} drop default')


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for table, column in NUMBERED:
            sequence = f'{table}_{column}_seq'
            op.execute(f"select setval('{sequence}', coalesce((select max({column}) from {table}), 0) + 1, false)")
            op.execute(f"alter table {table} alter column {column} set default nextval('{sequence}')")
