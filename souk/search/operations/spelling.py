"""Near spellings, for a question that nothing matches."""

from __future__ import annotations

import re

from souk.kit.postgresql.prepared import prepared_rows

WORD = re.compile(r"[^\W\d_]{3,40}")
# For each unknown word the most alike of those that titles and tags have had.
NEAR = """
    SELECT asked.word, (
               SELECT known.word FROM search_word known
                WHERE known.word %% asked.plain
                ORDER BY similarity(known.word, asked.plain) DESC, abs(length(known.word) - length(asked.plain)),
                         known.word
                LIMIT 1
           )
      FROM (SELECT word, lower(unaccent(word)) AS plain FROM unnest(%(words)s::text[]) AS word) asked
     WHERE NOT EXISTS (SELECT 1 FROM search_word known WHERE known.word = asked.plain)
"""


def find_near_spelling(*, words: str) -> str | None:
    """The words with each one that no title or tag has ever had replaced by the most alike one that they had.

    None when there is nothing to replace. The caller finds out whether anything matches.
    """
    asked = [word for word in dict.fromkeys(WORD.findall(words)) if word.lower() != "or"]
    if not asked:
        return None
    near = {word: known for word, known in prepared_rows(NEAR, {"words": asked}) if known is not None}
    if not near:
        return None
    return WORD.sub(lambda found: near.get(found[0], found[0]), words)
