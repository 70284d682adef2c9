"""Keys, sessions, quotas and the audit log in the database; on both."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from keyed import caller_of, make_key

from ridgeway.database.clock import now
from ridgeway.database.tables import api_keys, audit, sessions
from ridgeway.errors import InvalidInput, LimitReached, NotFound
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.lifecycle import cancel_job, submit_job
from ridgeway.jobs.lookups import find_submitted, list_jobs
from ridgeway.jobs.requests import Request
from ridgeway.keys.audit import Visit, list_audit, record
from ridgeway.keys.caller import LOCAL, SCOPES, Caller
from ridgeway.keys.keys import (
    KnownKey,
    Wanted,
    any_usable,
    create_key,
    list_keys,
    note_use,
    prefix_of,
    revoke_key,
    usable_keys,
)
from ridgeway.keys.sessions import MOST, begin_session, end_session, live_sessions
from ridgeway.spec.spec import JobSpec


def test_a_key_has_256_random_bits_and_only_its_hash_is_kept(database):
    keys = [make_key(database) for _ in range(3)]
    assert len({*keys}) == 3
    for key in keys:
        found = re.fullmatch(r"rw_([0-9a-f]{8})_([A-Za-z0-9_-]{43})", key)
        assert found is not None
        assert len(found[2]) * 6 >= 256
    with database.reading() as transaction:
        rows = transaction.execute(sa.select(api_keys)).mappings().all()
    assert {row["hash"] for row in rows} == {
        hashlib.sha256(key.encode()).hexdigest() for key in keys
    }
    kept = " ".join(str(value) for row in rows for value in row.values())
    assert not any(key[12:] in kept for key in keys)


def test_each_scope_may_what_those_before_it_may():
    for place, scope in enumerate(SCOPES):
        caller = Caller("a", "a", scope)
        assert [caller.may(needed) for needed in SCOPES] == [i <= place for i in range(3)]
        assert caller.sees_all is (scope == "admin")


def test_a_key_is_compared_whole_and_in_constant_time(database, monkeypatch):
    key = make_key(database)
    with database.reading() as transaction:
        known = usable_keys(transaction)[str(prefix_of(key))]
    assert known.fits(key)
    assert not known.fits(key[:-1] + ("A" if key[-1] != "A" else "B"))
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or False)
    assert not KnownKey(known.caller, known.hash).fits(key)
    assert compared == [(known.hash, hashlib.sha256(key.encode()).hexdigest())]
    assert secrets.compare_digest(known.hash, known.hash)  # what it is elsewhere
    for strange in ("", "rw_", key + "x", key.upper(), "rw_00000000_\n" + key[12:], "\x00" * 55):
        assert prefix_of(strange) is None


def test_a_key_that_is_revoked_or_out_of_date_is_not_usable(database):
    lasting, short, revoked = (
        make_key(database),
        make_key(database, expires_in=0.01),
        make_key(database),
    )
    with database.transaction() as transaction:
        begin_session(transaction, str(caller_of_row(transaction, revoked)))
        assert revoke_key(transaction, "rw_" + str(prefix_of(revoked))) == prefix_of(revoked)
        revoke_key(transaction, str(prefix_of(revoked)))  # changes nothing
        transaction.execute(
            sa.update(api_keys)
            .where(api_keys.c.prefix == prefix_of(short))
            .values(expires_at=now())
        )
    with database.reading() as transaction:
        assert usable_keys(transaction).keys() == {prefix_of(lasting)}
        assert live_sessions(transaction) == {}
        listed = {row.prefix: bool(row.usable) for row in list_keys(transaction)}
        assert any_usable(transaction)
    assert listed == {prefix_of(lasting): True, prefix_of(short): False, prefix_of(revoked): False}
    with database.transaction() as transaction:
        with pytest.raises(NotFound, match="no key 'ffffffff'"):
            revoke_key(transaction, "ffffffff-and-more")
        revoke_key(transaction, str(prefix_of(lasting)))
        assert not any_usable(transaction)


def caller_of_row(transaction, key):
    query = sa.select(api_keys.c.id).where(api_keys.c.prefix == prefix_of(key))
    return transaction.execute(query).scalar_one()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted("", "read"), "NAME"),
        (Wanted("a\nb", "read"), "NAME"),
        (Wanted("n" * 201, "read"), "NAME"),
        (Wanted("a", "root"), "--scope"),  # type: ignore[arg-type]
        (Wanted("a", "read", 0.0), "--expires"),
        (Wanted("a", "read", float("inf")), "--expires"),
    ],
)
def test_what_no_key_can_be_is_refused(database, wanted, field):
    with database.transaction() as transaction, pytest.raises(InvalidInput, match=field):
        create_key(transaction, wanted)


def test_last_use_is_written_seldom(database):
    caller = caller_of(database, make_key(database))

    def used() -> float | None:
        with database.transaction() as transaction:
            note_use(transaction, str(caller.key))
            return transaction.execute(sa.select(api_keys.c.used_at)).scalar_one()

    first = used()
    assert first is not None
    assert used() == first
    with database.transaction() as transaction:
        transaction.execute(sa.update(api_keys).values(used_at=now() - 301))
    again = used()
    assert again is not None
    assert again >= first


def test_sessions_end_and_the_oldest_make_room(database):
    key = str(caller_of(database, make_key(database)).key)
    with database.transaction() as transaction:
        made = [begin_session(transaction, key) for _ in range(MOST + 2)]
        assert len({*made}) == MOST + 2
        assert len(live_sessions(transaction)) == MOST
        end_session(transaction, made[-1])
        assert hashlib.sha256(made[-1].encode()).hexdigest() not in live_sessions(transaction)
        transaction.execute(sa.update(sessions).values(expires_at=now() - 1))
        assert live_sessions(transaction) == {}
        begin_session(transaction, key)
        assert len(transaction.execute(sa.select(sessions)).all()) == 1


def submitted(transaction, caller, trials=10, key=None):
    spec = JobSpec(dataset="digits", trials=trials)
    return submit_job(transaction, spec, request=Request(caller, key, "checksum"))


def test_open_jobs_and_their_trials_are_limited(database):
    caller = caller_of(database, make_key(database, open_jobs=2, trials=30))
    with database.transaction() as transaction:
        first = submitted(transaction, caller)
        submitted(transaction, LOCAL, trials=1000)  # nobody's: counts for none
    for trials, most in ((21, "20 more are accepted, not 21"), (20, None)):
        with database.transaction() as transaction:
            if most is None:
                submitted(transaction, caller, trials)
            else:
                with pytest.raises(LimitReached, match=most):
                    submitted(transaction, caller, trials)
    with database.transaction() as transaction:
        with pytest.raises(LimitReached, match="has 2: wait until one has ended"):
            submitted(transaction, caller, 1)
        with pytest.raises(LimitReached, match="0 more are accepted, not 5"):
            extend_job(transaction, first, 5, caller)
        cancel_job(transaction, first)
        submitted(transaction, caller, 10)


def test_two_requests_at_once_do_not_share_the_last_place(database):
    caller = caller_of(database, make_key(database, open_jobs=1))
    start = threading.Barrier(4)

    def one(_: int) -> bool:
        start.wait()
        try:
            with database.transaction() as transaction:
                submitted(transaction, caller)
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 1


def test_jobs_and_idempotency_keys_are_their_owners_own(database):
    ann, bob = (caller_of(database, make_key(database)) for _ in range(2))
    admin = caller_of(database, make_key(database, "admin"))
    callers = (ann, bob, LOCAL)
    with database.transaction() as transaction:
        made = {who.prefix: submitted(transaction, who, key="same") for who in callers}
    with database.reading() as transaction:
        for who in callers:
            found = find_submitted(transaction, Request(who, "same", "checksum"))
            assert found == (made[who.prefix], "checksum")

        def seen(who: Caller) -> set[str]:
            page = list_jobs(transaction, cursor=None, limit=9, caller=who)
            return {job.id for job in page.jobs}

        assert seen(ann) == {made[ann.prefix]}
        assert seen(bob) == {made[bob.prefix]}
        assert seen(admin) == seen(LOCAL) == {*made.values()}


def test_the_audit_log_is_paged_newest_first_and_dated_by_the_database(database):
    visit = Visit(Caller("id", "3f9a01bc", "submit"), "POST /v1/jobs", "10.0.0.7")
    with database.transaction() as transaction:
        for number in range(5):
            record(transaction, visit, f"job {number}")
        record(transaction, Visit(LOCAL, "keys create"), "x\x00" * 500, "403")
        transaction.execute(sa.update(audit).where(audit.c.object == "job 0").values(at=1.0))
    with database.reading() as transaction:
        page = list_audit(transaction, limit=4)
        rest = list_audit(transaction, limit=4, cursor=page.next)
        young = list_audit(transaction, limit=9, since=rest.entries[0].at)
    assert [each.object for each in page.entries[1:]] == ["job 4", "job 3", "job 2"]
    assert [each.object for each in rest.entries] == ["job 1", "job 0"]
    assert rest.next is None
    assert len(young.entries) == 5
    assert page.entries[0].actor == "local"
    told = page.entries[1].model_dump(exclude={"at", "object"})
    assert told == {
        "actor": "3f9a01bc",
        "action": "POST /v1/jobs",
        "outcome": "done",
        "address": "10.0.0.7",
    }
