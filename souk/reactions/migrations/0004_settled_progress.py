"""How far a consumer has heard everything is looked for among settled events alone. Old code calls what there was."""

from importlib import import_module

from django.db import migrations

UNHEARD = (
    import_module("souk.reactions.migrations.0003_progress")
    .UNHEARD.replace("p_limit integer)", "p_limit integer, p_until uuid)")
    .replace("WHERE e.id > v_floor ORDER BY", "WHERE e.id > v_floor AND e.id <= p_until ORDER BY")
)


class Migration(migrations.Migration):
    dependencies = [("reactions", "0003_progress")]

    operations = [migrations.RunSQL(UNHEARD, "DROP FUNCTION first_unheard(integer, integer, uuid)")]
