"""What Debezium reads: the publication, the heartbeat beside it, and its offsets. Old code can run beside it."""

from django.db import migrations

# The heartbeat is in the publication, and not in Debezium's table list: the slot advances, and nothing leaks.
PUBLICATION = "CREATE PUBLICATION souk_events FOR TABLE eventlog_event, cdc_heartbeat WITH (publish = 'insert')"
HEARTBEAT = "CREATE TABLE cdc_heartbeat (at timestamptz PRIMARY KEY)"
# As Debezium's JDBC offset store makes it, which would need the right to create tables.
OFFSETS = """
CREATE TABLE debezium_offset (
    id varchar(36) NOT NULL,
    offset_key varchar(1255),
    offset_val varchar(1255),
    record_insert_ts timestamp NOT NULL,
    record_insert_seq integer NOT NULL
)
"""


class Migration(migrations.Migration):
    dependencies = [("eventlog", "0002_number_events")]

    operations = [
        migrations.RunSQL(HEARTBEAT, "DROP TABLE cdc_heartbeat"),
        migrations.RunSQL(OFFSETS, "DROP TABLE debezium_offset"),
        migrations.RunSQL(PUBLICATION, "DROP PUBLICATION souk_events"),
    ]
