"""Trials in the order of their values, kept by the database itself

An index on Optuna's tables can't give a study's best trials: a value's row does not know its
study. Triggers keep this copy true whoever writes, stock Optuna too.

Revision: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = "trial_id, study_id, signed_value"
# A trial's number is not known yet when stock Optuna adds a finished trial; its id is.
RANKED = """
SELECT given.trial_id, trials.study_id,
       CASE study_directions.direction WHEN 'MAXIMIZE' THEN -given.value ELSE given.value END
FROM {given} AS given
JOIN trials ON trials.trial_id = given.trial_id
JOIN study_directions
  ON study_directions.study_id = trials.study_id AND study_directions.objective = 0
WHERE given.objective = 0 AND given.value IS NOT NULL
"""


def upgrade() -> None:
    """Create the table, fill it, and keep it true from now on."""
    op.create_table(
        "ranked_trials",
        sa.Column("trial_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column(
            "signed_value",
            sa.Double(),
            nullable=False,
            comment="of the first objective; the lower the better",
        ),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_ranked_trials")),
    )
    with op.batch_alter_table("ranked_trials", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_ranked_trials_study_id_signed_value_trial_id"),
            ["study_id", "signed_value", "trial_id"],
            unique=False,
        )
    op.execute(f"INSERT INTO ranked_trials ({COLUMNS}) {RANKED.format(given='trial_values')}")
    statements = _sqlite() if op.get_bind().dialect.name == "sqlite" else _postgresql()
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Drop it and what keeps it."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("insert", "update", "delete"):
        where = "" if sqlite else " ON trial_values"
        op.execute(f"DROP TRIGGER ridgeway_rank_{name}{where}")
    if not sqlite:
        for name in ("rank", "rerank", "unrank"):
            op.execute(f"DROP FUNCTION ridgeway_{name}()")
    with op.batch_alter_table("ranked_trials", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ranked_trials_study_id_signed_value_trial_id"))

    op.drop_table("ranked_trials")


def _sqlite() -> list[str]:
    """Row by row: SQLite knows no other triggers."""
    new = "(SELECT NEW.trial_id AS trial_id, NEW.objective AS objective, NEW.value AS value)"
    rank = f"INSERT OR REPLACE INTO ranked_trials ({COLUMNS}) {RANKED.format(given=new)};"
    unrank = "DELETE FROM ranked_trials WHERE trial_id = OLD.trial_id AND OLD.objective = 0;"
    actions = {"insert": rank, "update": unrank + rank, "delete": unrank}
    return [
        f"CREATE TRIGGER ridgeway_rank_{event} AFTER {event} ON trial_values BEGIN {action} END"
        for event, action in actions.items()
    ]


def _postgresql() -> list[str]:
    """Once a statement: a population's values are written by one."""
    unrank = (
        "DELETE FROM ranked_trials USING before "
        "WHERE ranked_trials.trial_id = before.trial_id AND before.objective = 0;"
    )
    rank = (
        f"INSERT INTO ranked_trials ({COLUMNS}) {RANKED.format(given='after')} "  # nosec B608 # names of ours
        "ON CONFLICT (trial_id) DO UPDATE SET signed_value = excluded.signed_value;"
    )
    function = (
        "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN {action} RETURN NULL; END $$"
    )
    trigger = (
        "CREATE TRIGGER ridgeway_rank_{event} AFTER {event} ON trial_values "
        "REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )
    return [
        function.format(name="ridgeway_rank", action=rank),
        function.format(name="ridgeway_unrank", action=unrank),
        function.format(name="ridgeway_rerank", action=unrank + rank),
        trigger.format(event="insert", tables="NEW TABLE AS after", name="ridgeway_rank"),
        trigger.format(
            event="update",
            tables="OLD TABLE AS before NEW TABLE AS after",
            name="ridgeway_rerank",
        ),
        trigger.format(event="delete", tables="OLD TABLE AS before", name="ridgeway_unrank"),
    ]
