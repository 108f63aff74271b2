"""The fifteen faults."""

from __future__ import annotations

from tests.faults import doubting, dying, streaming
from tests.faults.scene import EVERYTHING, Fault

# Doors whose limits guard passwords: without the cache server that counts for them they answer 503.
GUARDED = r"^/(oauth/|users$|me/(password|delete)$)"
FAULTS = (
    Fault(number=1, name="api_killed", says="`kill -9` of API processes under load", must="API processes killed",
          strike=dying.kill_api_workers, disturbs=EVERYTHING),
    Fault(number=2, name="database_killed", says="`kill -9` of PostgreSQL under load", must="postmasters killed",
          strike=dying.kill_the_database, disturbs=EVERYTHING),
    Fault(number=3, name="capture_killed", says="`kill -9` of Debezium when a batch has just arrived",
          must="events read again", strike=dying.kill_capture),
    Fault(number=4, name="streams_killed", says="`kill -9` of Valkey with AOF `always`, `everysec`, and none",
          must="servers killed", strike=streaming.kill_the_streams, disturbs=GUARDED, whole=False),
    Fault(number=5, name="streams_flushed", says="`FLUSHALL`, or the streams deleted with their groups", must="wiped",
          strike=streaming.flush_the_streams, whole=False),
    Fault(number=6, name="streams_full", says="`maxmemory` reached, or the disk of the AOF full", must="times full",
          strike=streaming.fill_the_streams),
    Fault(number=7, name="streams_read_only", says="`REPLICAOF` a dead host for 20 s", must="writes refused",
          strike=streaming.make_the_streams_read_only),
    Fault(number=8, name="worker_killed", says="`kill -9` of a worker between commit and `XACK`, and after `XACK`",
          must="killed before XACK", strike=dying.kill_workers_at_their_acknowledgement,
          setting=dying.worker_behind_a_wire),
    Fault(number=9, name="delivered_twice", says="a tenth of the entries added again, the log read again",
          must="entries added again", strike=streaming.deliver_twice),
    Fault(number=10, name="shuffled", says="the newest 50 entries of each stream in another order",
          must="entries moved", strike=streaming.shuffle_the_streams),
    Fault(number=11, name="frozen", says="`SIGSTOP` of random parts, and of a transaction that holds stock",
          must="processes frozen", strike=dying.freeze_at_random, disturbs=EVERYTHING),
    Fault(number=12, name="cut_after_commit", says="connections to PostgreSQL cut after `COMMIT` was sent",
          must="connections cut after COMMIT", strike=doubting.cut_after_commit, disturbs=EVERYTHING,
          setting=doubting.api_behind_a_wire),
    Fault(number=13, name="wrong_clocks", says="API and clock processes ten minutes ahead and behind (libfaketime)",
          must="orders expired by a wrong clock", strike=doubting.let_a_wrong_clock_sweep,
          setting=doubting.clocks_that_are_wrong, missing=doubting.faketime_missing),
    Fault(number=14, name="hot_race", says="200 clients, 50 units, carts, cancels, expiries and a deletion at once",
          must="refused for want of stock", strike=doubting.race_for_few_units, disturbs=EVERYTHING),
    Fault(number=15, name="slot_lost", says="a tiny `max_slot_wal_keep_size` until Debezium's slot is lost",
          must="slots lost", strike=doubting.lose_the_slot, whole=False),
)  # fmt: skip
BY_NAME = {fault.name: fault for fault in FAULTS}
